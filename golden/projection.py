"""The projection matrices V(s) and U(s) that a seed stands for (paper, section 3.1)."""

from functools import lru_cache

import numpy as np

from golden.lfsr import states
from golden.spec import BlockFormat

__all__ = ["centred", "u_matrix", "v_matrix"]


def v_matrix(seed: np.ndarray | int, fmt: BlockFormat) -> np.ndarray:
    """V(s): the ``c*p`` LFSR states that follow the seed, row by row.

    ``seed`` has any shape ``S``; the result is int64 of shape ``S + (c, p)``.
    """
    seed = np.asarray(seed)
    return states(seed, fmt.k, fmt.c * fmt.p).reshape(*seed.shape, fmt.c, fmt.p)


@lru_cache(maxsize=2)
def _of_all_seeds(fmt: BlockFormat) -> np.ndarray:
    """:func:`centred` of every register state, as int32."""
    return (v_matrix(np.arange(1 << fmt.k), fmt) - fmt.offset).astype(np.int32)


def centred(seed: np.ndarray | int, fmt: BlockFormat) -> np.ndarray:
    """V(s) - 2**(k-1), the integer numerators of U(s): int32 or int64, shape ``S + (c, p)``.

    Of more seeds than there are, each register state is stepped once.
    """
    if np.size(seed) > 1 << fmt.k:
        return _of_all_seeds(fmt)[seed]
    return v_matrix(seed, fmt) - fmt.offset


def u_matrix(seed: np.ndarray | int, fmt: BlockFormat) -> np.ndarray:
    """U(s), in [-1, 1]: float64, shape ``S + (c, p)``."""
    return centred(seed, fmt) / fmt.unit
