"""Inputs rotated by signs and Hadamard matrices, so that no weight of a row stands out.

A code with one scale for a row cannot serve outliers. The rotation spreads each weight over 64 columns::

    y = W x = (W S H / 8) (H S x) / 8

S is diagonal, with a sign for each column, and H has the Hadamard matrix of 64 rows, H[i][j] = (-1)**popcount(i & j),
in each block of 64 columns. H is symmetric and H H = 64, so that H / 8 turns and mirrors but keeps every length: a
rotated matrix has the squared errors of its restored one.

Inputs are the integers of block floating point. H S x is a sum of 64 of them, and is divided by 16 and rounded to
nearest, ties to even: round(H S x / 16) is at most 4 times as great as an input can be, so that it takes two bits more
(:data:`golden.spec.ROTATION_GROWTH`) and fits the multipliers of 18 bits that devices have. A result is then
2 * (W S H / 8) @ round(H S x / 16), and the factor 2**:data:`SHIFT` joins the power of two of the vector.

The sign of column i is negative where bit i of the output of SeedLM's LFSR of 16 bits is set, from
:data:`golden.spec.ROTATION_SEED` on. It is the same for all matrices, so that those that share an input share its
rotation.
"""

import numpy as np

from golden.lfsr import states
from golden.spec import ROTATION_BLOCK, ROTATION_DROPPED, ROTATION_SEED

__all__ = ["SHIFT", "restored_weights", "rotated_inputs", "rotated_weights", "signs"]

_TURN = 3
"""H is 2**_TURN times a matrix that keeps lengths."""
SHIFT = ROTATION_DROPPED - _TURN
"""Results are 2**SHIFT times the products of rotated weights and rotated inputs."""
_LFSR_BITS = 16


def _require(columns: int) -> None:
    if columns % ROTATION_BLOCK:
        raise ValueError(f"a rotation takes a multiple of {ROTATION_BLOCK} columns, not {columns}")


def _hadamard() -> np.ndarray:
    """H of one block: int64, (64, 64)."""
    common = np.arange(ROTATION_BLOCK)[:, None] & np.arange(ROTATION_BLOCK)
    return 1 - 2 * (np.bitwise_count(common).astype(np.int64) & 1)


def signs(columns: int) -> np.ndarray:
    """The sign of each column, 1 or -1: int64, (columns,)."""
    first = np.array([ROTATION_SEED])
    every = np.concatenate([first, states(first[0], _LFSR_BITS, max(columns - 1, 0))])[:columns]
    return 1 - 2 * (every & 1)


def rotated_inputs(x: np.ndarray) -> np.ndarray:
    """round(H S x / 2**ROTATION_DROPPED), ties to even: int64, (..., columns), of integers of at most 52 bits.

    Raises
    ------
    ValueError
        When there are not integers, or no multiple of 64 of them.
    """
    if not np.issubdtype(x.dtype, np.integer):
        raise ValueError(f"rotated inputs are integers, not {x.dtype}")
    _require(x.shape[-1])
    blocks = (x.astype(np.int64) * signs(x.shape[-1])).reshape(*x.shape[:-1], -1, ROTATION_BLOCK)
    sums = (blocks @ _hadamard()).reshape(x.shape)
    half, odd = 1 << ROTATION_DROPPED - 1, sums >> ROTATION_DROPPED & 1
    return sums + half - 1 + odd >> ROTATION_DROPPED


def rotated_weights(weights: np.ndarray) -> np.ndarray:
    """W S H / 8: float64, (rows, columns), rounded as sums of float64 are.

    Raises
    ------
    ValueError
        When the columns are no multiple of 64.
    """
    rows, cols = weights.shape
    _require(cols)
    blocks = (weights.astype(np.float64) * signs(cols)).reshape(rows, -1, ROTATION_BLOCK)
    return (blocks @ _hadamard()).reshape(rows, cols) / (1 << _TURN)


def restored_weights(weights: np.ndarray) -> np.ndarray:
    """W of W S H / 8: float64, (rows, columns), rounded as sums of float64 are.

    Raises
    ------
    ValueError
        When the columns are no multiple of 64.
    """
    rows, cols = weights.shape
    _require(cols)
    blocks = weights.astype(np.float64).reshape(rows, -1, ROTATION_BLOCK) @ _hadamard()
    return blocks.reshape(rows, cols) * signs(cols) / (1 << _TURN)
