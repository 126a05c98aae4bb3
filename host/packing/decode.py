"""A fast decoder: weights by table look-up on the LFSR cycle, independent of golden's stepping.

All states of a block are neighbours on the cycle, so a table of the cycle, and of every seed's place on it, turns a
seed into its numerators at once.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from golden.block import CompressedMatrix
from golden.lfsr import step
from golden.spec import BlockFormat

__all__ = ["numerators", "weights"]


@lru_cache(maxsize=4)
def _cycle(fmt: BlockFormat) -> tuple[np.ndarray, np.ndarray]:
    """Centred states from seed 1 on, one block longer than the period, and the place of every seed; both int32."""
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
    """As ``matrix.numerators()``: int64, (rows, blocks, c)."""
    fmt = matrix.fmt
    cycle, place = _cycle(fmt)
    total = np.zeros((*matrix.seeds.shape, fmt.c), dtype=np.int64)
    first = place[matrix.seeds][..., None] + 1 + fmt.p * np.arange(fmt.c)
    for p in range(fmt.p):
        total += matrix.coefs[..., p, None] * cycle[first + p]
    return total


def weights(matrix: CompressedMatrix) -> np.ndarray:
    """As ``matrix.weights()``: float64, (rows, columns)."""
    rows, cols = matrix.shape
    power = matrix.exponents.astype(np.int32) + np.int32(matrix.exponent_bias)
    full = np.ldexp(numerators(matrix) / matrix.fmt.unit, power[..., None])
    return full.reshape(rows, -1)[:, :cols]
