"""A fast decoder, which looks weights up on the LFSR cycle in place of stepping the register as golden does.

All states of a block are neighbours on the cycle. A table of the cycle's states and a table of every seed's place on it
therefore turn a seed into all its numerators at once.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from golden.block import CompressedMatrix
from golden.lfsr import step
from golden.spec import BlockFormat

__all__ = ["cycle", "numerators", "weights"]


@lru_cache(maxsize=4)
def cycle(fmt: BlockFormat) -> tuple[np.ndarray, np.ndarray]:
    """Return the centred states from seed 1 on, one block more than the period, and the place of every seed in them.

    Both tables are int32. Only a few formats are kept: their tables take half a megabyte for k = 16.
    """
    def walk() -> Iterator[int]:
        state = 1
        for _ in range(fmt.seeds):
            yield state
            state = step(state, fmt.k)

    states = np.fromiter(walk(), dtype=np.int32, count=fmt.seeds)
    place = np.zeros(fmt.seeds + 1, dtype=np.int32)
    place[states] = np.arange(fmt.seeds, dtype=np.int32)
    return np.resize(states, fmt.seeds + fmt.c * fmt.p) - np.int32(fmt.offset), place


def numerators(matrix: CompressedMatrix) -> np.ndarray:
    """Return the integers ``(V - 2**(k-1)) @ q`` of all blocks, as ``matrix.numerators()`` does: int64, (rows, blocks,
    c)."""
    fmt = matrix.fmt
    states, place = cycle(fmt)
    total = np.zeros((*matrix.seeds.shape, fmt.c), dtype=np.int64)
    first = place[matrix.seeds][..., None] + 1 + fmt.p * np.arange(fmt.c)
    for p in range(fmt.p):
        total += matrix.coefs[..., p, None] * states[first + p]
    return total


def weights(matrix: CompressedMatrix) -> np.ndarray:
    """Return the decompressed weights, as ``matrix.weights()`` does: float64, (rows, columns)."""
    rows, cols = matrix.shape
    power = matrix.exponents.astype(np.int32) + np.int32(matrix.exponent_bias)
    full = np.ldexp(matrix.in_units(numerators(matrix)), power[..., None])
    return full.reshape(rows, -1)[:, :cols]
