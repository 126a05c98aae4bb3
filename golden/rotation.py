"""Inputs rotated by signs and Hadamard matrices, so that no weight of a row stands out.

A code with one scale for a row cannot serve outliers. The rotation spreads each weight over 64 columns::

    y = W x = (W S H / 8) (H S x) / 8

S is diagonal, with a sign for each column, and H has the Hadamard matrix of 64 rows, H[i][j] = (-1)**popcount(i & j),
in each block of 64 columns. H is symmetric and H H = 64, so that H / 8 turns and mirrors but keeps every length: a
rotated matrix has the squared errors of its restored one. Rotated inputs H S x are sums of integers, and so exact; they
take :data:`GROWTH` bits more than the integers themselves. What is left is the last factor, 1 / 8 for every result.

The sign of column i is negative where bit i of the output of SeedLM's LFSR of 16 bits is set, from :data:`SEED` on. It
is the same for all matrices, so that those that share an input share its rotation.
"""

import numpy as np

from golden.lfsr import states

__all__ = ["BLOCK", "GROWTH", "SEED", "SHIFT", "restored_weights", "rotated_inputs", "rotated_weights", "signs"]

BLOCK = 64
"""Columns that are rotated together."""
GROWTH = 6
"""Bits by which rotated integers are wider: a sum of 64."""
SHIFT = 3
"""Results of rotated weights and rotated inputs are 2**SHIFT times too great."""
SEED = 0xACE1
"""State of the LFSR whose lowest bit is the sign of column 0."""
_LFSR_BITS = 16


def _require(columns: int) -> None:
    if columns % BLOCK:
        raise ValueError(f"a rotation takes a multiple of {BLOCK} columns, not {columns}")


def _hadamard() -> np.ndarray:
    """H of one block: int64, (64, 64)."""
    common = np.arange(BLOCK)[:, None] & np.arange(BLOCK)
    return 1 - 2 * (np.bitwise_count(common).astype(np.int64) & 1)


def signs(columns: int) -> np.ndarray:
    """The sign of each column, 1 or -1: int64, (columns,)."""
    every = np.concatenate([[SEED], states(np.array(SEED), _LFSR_BITS, max(columns - 1, 0))])[:columns]
    return 1 - 2 * (every & 1)


def rotated_inputs(x: np.ndarray) -> np.ndarray:
    """H S x, exactly: int64, (..., columns), of integers of at most 57 bits.

    Raises
    ------
    ValueError
        When there are not integers, or no multiple of 64 of them.
    """
    if not np.issubdtype(x.dtype, np.integer):
        raise ValueError(f"rotated inputs are integers, not {x.dtype}")
    _require(x.shape[-1])
    blocks = (x.astype(np.int64) * signs(x.shape[-1])).reshape(*x.shape[:-1], -1, BLOCK)
    return (blocks @ _hadamard()).reshape(x.shape)


def rotated_weights(weights: np.ndarray) -> np.ndarray:
    """W S H / 8: float64, (rows, columns), rounded as sums of float64 are.

    Raises
    ------
    ValueError
        When the columns are no multiple of 64.
    """
    rows, cols = weights.shape
    _require(cols)
    blocks = (weights.astype(np.float64) * signs(cols)).reshape(rows, -1, BLOCK)
    return (blocks @ _hadamard()).reshape(rows, cols) / (1 << SHIFT)


def restored_weights(weights: np.ndarray) -> np.ndarray:
    """W of W S H / 8: float64, (rows, columns), rounded as sums of float64 are.

    Raises
    ------
    ValueError
        When the columns are no multiple of 64.
    """
    rows, cols = weights.shape
    _require(cols)
    blocks = weights.astype(np.float64).reshape(rows, -1, BLOCK) @ _hadamard()
    return blocks.reshape(rows, cols) * signs(cols) / (1 << SHIFT)
