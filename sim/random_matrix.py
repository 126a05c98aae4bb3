"""Random valid compressed matrices: what a test streams when the weights' meaning does not matter."""

import numpy as np

from golden.block import CompressedMatrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat

__all__ = ["random_matrix"]


def random_matrix(fmt: BlockFormat, rows: int, cols: int, rng: np.random.Generator) -> CompressedMatrix:
    """A (rows, cols) matrix whose every field is uniform over its legal values."""
    shape = rows, -(-cols // fmt.c)
    return CompressedMatrix(fmt, (rows, cols), rng.integers(1, fmt.seeds + 1, shape, dtype=np.uint32),
                            rng.integers(EXP_MIN, EXP_MAX + 1, shape, dtype=np.int8),
                            rng.integers(fmt.coef_min, fmt.coef_max + 1, (*shape, fmt.p), dtype=np.int8))
