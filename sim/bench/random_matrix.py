"""Random valid matrices in every format: what a test streams when the weights' meaning does not matter."""

import numpy as np

from golden.block import CompressedMatrix
from golden.int4 import GroupMatrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat, GroupFormat, WeightFormat
from sim.bench.data import finite_halves

__all__ = ["random_group_matrix", "random_matrix", "random_weights"]


def random_matrix(fmt: BlockFormat, rows: int, cols: int, rng: np.random.Generator) -> CompressedMatrix:
    """A SeedLM matrix, (rows, cols), whose every field is uniform over its legal values."""
    shape = rows, -(-cols // fmt.c)
    return CompressedMatrix(fmt, (rows, cols), rng.integers(1, fmt.seeds + 1, shape, dtype=np.uint32),
                            rng.integers(EXP_MIN, EXP_MAX + 1, shape, dtype=np.int8),
                            rng.integers(fmt.coef_min, fmt.coef_max + 1, (*shape, fmt.p), dtype=np.int8))


def random_group_matrix(fmt: GroupFormat, rows: int, cols: int, rng: np.random.Generator) -> GroupMatrix:
    """The same of codes and scales: every code, and every bit pattern of a scale, alike."""
    return GroupMatrix(fmt, rng.integers(fmt.code_min, fmt.code_max + 1, (rows, cols), dtype=np.int8),
                       np.abs(finite_halves(rng, rows * -(-cols // fmt.group))).reshape(rows, -1))


def random_weights(fmt: WeightFormat, rows: int, cols: int,
                   rng: np.random.Generator) -> CompressedMatrix | GroupMatrix | np.ndarray:
    """A matrix in whatever format."""
    if isinstance(fmt, BlockFormat):
        return random_matrix(fmt, rows, cols, rng)
    if isinstance(fmt, GroupFormat):
        return random_group_matrix(fmt, rows, cols, rng)
    return finite_halves(rng, rows * cols).reshape(rows, cols)
