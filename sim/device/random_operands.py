"""Random matrices and vectors in every format, for work in which the meaning of the weights does not matter.

Cycles and bytes of a product do not depend on its numbers, and equal results say most where every field takes all of
its values. So every field is drawn uniformly from its legal values.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from golden.block import CompressedMatrix
from golden.integers import GroupMatrix
from golden.product import Weights
from golden.scales import LEAST_SCALE
from golden.spec import BlockFormat, GroupFormat, HalfFormat, TrellisFormat, WeightFormat
from golden.trellis.matrix import TrellisMatrix

__all__ = ["finite_halves", "random_group_matrix", "random_matrix", "random_trellis_matrix", "random_weights",
           "row_scales"]


def finite_halves(rng: np.random.Generator, count: int) -> np.ndarray:
    """``count`` random numbers, (count,) float16; every finite bit pattern is as likely as any other.

    So there are both signs, zeros, subnormals and all binades among them.
    """
    sign, rest = (rng.integers(0, end, count, dtype=np.uint16) for end in (2, 0x7C00))
    return (sign << 15 | rest).view(np.float16)


def row_scales(rng: np.random.Generator, count: int) -> np.ndarray:
    """``count`` random scales of rows, (count,) float16; every normal bit pattern is as likely as any other, and some
    are zero."""
    found = finite_halves(rng, count)
    return np.where(np.abs(found) < LEAST_SCALE, np.float16(0), found)


def random_matrix(fmt: BlockFormat, rows: int, cols: int, rng: np.random.Generator) -> CompressedMatrix:
    """A SeedLM matrix of shape (rows, cols), with every seed, exponent and coefficient as likely as any other, and with
    scales of its rows where the format has them."""
    shape = rows, -(-cols // fmt.c)
    return CompressedMatrix(fmt, (rows, cols), rng.integers(1, fmt.seeds + 1, shape, dtype=np.uint32),
                            rng.integers(fmt.exp_min, fmt.exp_max + 1, shape, dtype=np.int8),
                            rng.integers(fmt.coef_min, fmt.coef_max + 1, (*shape, fmt.p), dtype=np.int8),
                            scales=row_scales(rng, rows) if fmt.head_blocks else None)


def random_group_matrix(fmt: GroupFormat, rows: int, cols: int, rng: np.random.Generator) -> GroupMatrix:
    """A matrix of groups, of shape (rows, cols), with every code and every finite scale as likely as any other."""
    return GroupMatrix(fmt, rng.integers(fmt.code_min, fmt.code_max + 1, (rows, cols), dtype=np.int8),
                       finite_halves(rng, rows * fmt.groups(cols)).reshape(rows, -1))


def random_trellis_matrix(fmt: TrellisFormat, rows: int, cols: int, rng: np.random.Generator) -> TrellisMatrix:
    """A trellis matrix of shape (rows, cols), with every code and every start as likely as any other, and with an
    exponent bias from -15 to 0."""
    return TrellisMatrix(fmt, rng.integers(0, 1 << fmt.bits, (rows, cols), dtype=np.uint8),
                         rng.integers(0, 1 << fmt.start_bits, rows, dtype=np.uint16), row_scales(rng, rows),
                         -int(rng.integers(16)))


def _random_halves(fmt: HalfFormat, rows: int, cols: int, rng: np.random.Generator) -> np.ndarray:
    return finite_halves(rng, rows * cols).reshape(rows, cols)


_RANDOM: dict[type, Callable[[Any, int, int, np.random.Generator], Weights]] = {
    BlockFormat: random_matrix, GroupFormat: random_group_matrix, TrellisFormat: random_trellis_matrix,
    HalfFormat: _random_halves}
"""How random matrices of each family of formats are drawn."""


def random_weights(fmt: WeightFormat, rows: int, cols: int, rng: np.random.Generator) -> Weights:
    """A matrix of shape (rows, cols) in the format ``fmt``; for FP16 an array of finite float16 numbers."""
    return _RANDOM[type(fmt)](fmt, rows, cols, rng)
