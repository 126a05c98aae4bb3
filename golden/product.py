"""The matrix-vector product of weights in whatever format: golden's registry of what each family of formats can do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from golden import fp16, integers, matvec
from golden.block import CompressedMatrix
from golden.integers import GroupMatrix
from golden.rotation import restored_weights
from golden.scales import row_factor
from golden.spec import ACT_BITS, FP16, BlockFormat, GroupFormat, HalfFormat, TrellisFormat, WeightFormat
from golden.trellis import matvec as trellis_matvec
from golden.trellis.matrix import TrellisMatrix

__all__ = ["Weights", "factor", "format_of", "product", "restored"]

Weights = CompressedMatrix | GroupMatrix | TrellisMatrix | np.ndarray
"""A weight matrix: of SeedLM, of codes and scales, of the trellis, or float16, (rows, columns)."""


@dataclass(frozen=True)
class _Family:
    """What golden can do with the formats of a family."""

    factor: Callable[[Any, int, int], np.float32]
    """What one unit of a row sum stands for, of a format, an exponent bias, and the bits of an activation."""
    product: Callable[[Any, np.ndarray, int], np.ndarray]
    """The product of a matrix and a vector, in activations of so many bits."""


_FAMILIES: dict[type, _Family] = {
    BlockFormat: _Family(matvec.factor, matvec.matvec),
    GroupFormat: _Family(lambda fmt, bias, bits: integers.factor(bits), integers.matvec),
    TrellisFormat: _Family(lambda fmt, bias, bits: row_factor(bias, bits), trellis_matvec.matvec),
    HalfFormat: _Family(lambda fmt, bias, bits: fp16.FACTOR, lambda weights, x, bits: fp16.matvec(weights, x)),
}


def format_of(weights: Weights) -> WeightFormat:
    """Their format."""
    return FP16 if isinstance(weights, np.ndarray) else weights.fmt


def factor(fmt: WeightFormat, exponent_bias: int = 0, act_bits: int = ACT_BITS) -> np.float32:
    """What one unit of a row sum stands for, but for 2**(shared activation exponent) where there is one, and for the
    row's scale where there is one."""
    return _FAMILIES[type(fmt)].factor(fmt, exponent_bias, act_bits)


def product(weights: Weights, x: np.ndarray, act_bits: int = ACT_BITS) -> np.ndarray:
    """``weights @ x`` for a float16 vector, which FP16 weights multiply as it is and others as block floating point of
    ``act_bits`` bits: float32, (rows,).

    Raises
    ------
    ValueError
        When a shape or a dtype is wrong or a value is not finite.
    """
    return _FAMILIES[type(format_of(weights))].product(weights, x, act_bits)


def restored(weights: Weights) -> np.ndarray:
    """The numbers that they stand for, rotated back if they are rotated: float64, (rows, columns)."""
    if isinstance(weights, np.ndarray):
        return weights.astype(np.float64)
    return restored_weights(weights.weights()) if weights.rotated else weights.weights()
