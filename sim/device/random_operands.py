"""Random matrices and vectors in every format, for work in which the meaning of the weights does not matter.

Cycles and bytes of a product do not depend on its numbers, and equal results say most where every field takes all of
its values. So every field is drawn uniformly from its legal values.
"""

import numpy as np

from golden.block import CompressedMatrix
from golden.integers import GroupMatrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat, GroupFormat, WeightFormat

__all__ = ["finite_halves", "random_group_matrix", "random_matrix", "random_weights"]


def finite_halves(rng: np.random.Generator, count: int) -> np.ndarray:
    """``count`` random numbers, (count,) float16; every finite bit pattern is as likely as any other.

    So there are both signs, zeros, subnormals and all binades among them.
    """
    sign, rest = (rng.integers(0, end, count, dtype=np.uint16) for end in (2, 0x7C00))
    return (sign << 15 | rest).view(np.float16)


def random_matrix(fmt: BlockFormat, rows: int, cols: int, rng: np.random.Generator) -> CompressedMatrix:
    """A SeedLM matrix of shape (rows, cols), with every seed, exponent and coefficient as likely as any other."""
    shape = rows, -(-cols // fmt.c)
    return CompressedMatrix(fmt, (rows, cols), rng.integers(1, fmt.seeds + 1, shape, dtype=np.uint32),
                            rng.integers(EXP_MIN, EXP_MAX + 1, shape, dtype=np.int8),
                            rng.integers(fmt.coef_min, fmt.coef_max + 1, (*shape, fmt.p), dtype=np.int8))


def random_group_matrix(fmt: GroupFormat, rows: int, cols: int, rng: np.random.Generator) -> GroupMatrix:
    """A matrix of groups, of shape (rows, cols), with every code and every finite scale as likely as any other."""
    return GroupMatrix(fmt, rng.integers(fmt.code_min, fmt.code_max + 1, (rows, cols), dtype=np.int8),
                       finite_halves(rng, rows * fmt.groups(cols)).reshape(rows, -1))


def random_weights(fmt: WeightFormat, rows: int, cols: int,
                   rng: np.random.Generator) -> CompressedMatrix | GroupMatrix | np.ndarray:
    """A matrix of shape (rows, cols) in the format ``fmt``; for FP16 an array of finite float16 numbers."""
    if isinstance(fmt, BlockFormat):
        return random_matrix(fmt, rows, cols, rng)
    if isinstance(fmt, GroupFormat):
        return random_group_matrix(fmt, rows, cols, rng)
    return finite_halves(rng, rows * cols).reshape(rows, cols)
