"""FP16 activations as 16-bit block floating point: one shared exponent for a vector, integers for its elements.

Rule. Let E be the greatest biased FP16 exponent field in the vector, subnormals and zeros counting as 1. Element
m * 2**(f - 25), with integer significand m and biased exponent f, becomes round(m * 2**(bits - 12) / 2**(E - f)),
ties to even, saturated to +-(2**(bits-1) - 1); it stands for that integer times 2**(E - 13 - bits). With 16 bits the
four largest binades are exact and nothing saturates.
"""

import numpy as np

from golden.rotation import SHIFT, rotated_inputs
from golden.spec import ACT_BITS, FP16_EXP_BIAS, FP16_FRACTION

__all__ = ["column_integers", "fp16_fields", "lsb_exponent", "require_finite", "to_block_floating_point"]


def require_finite(values: np.ndarray, what: str) -> np.ndarray:
    """``values`` as float16, when they are finite and of that type.

    Raises
    ------
    ValueError
        On another dtype, NaN or infinity; the message names ``what``.
    """
    if values.dtype != np.float16:
        raise ValueError(f"{what} must be float16, not {values.dtype}")
    if not np.isfinite(values).all():
        raise ValueError(f"{what} contain NaN or infinity")
    return values


def fp16_fields(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed significand and biased exponent (at least 1) of finite float16: value = m * 2**(f - 25), both int64."""
    bits = values.view(np.uint16).astype(np.int64)
    field, fraction = (bits >> FP16_FRACTION) & 31, bits & ((1 << FP16_FRACTION) - 1)
    significand = np.where(field > 0, fraction | (1 << FP16_FRACTION), fraction)
    return np.where(bits >> 15, -significand, significand), np.maximum(field, 1)


def lsb_exponent(shared: int, bits: int = ACT_BITS) -> int:
    """Power of two that one unit of a converted element stands for, given the shared biased exponent."""
    return shared - FP16_EXP_BIAS - FP16_FRACTION - (bits - 2 - FP16_FRACTION)


def column_integers(x: np.ndarray, cols: int, bits: int = ACT_BITS, rotated: bool = False) -> tuple[np.ndarray, int]:
    """:func:`to_block_floating_point` of one element for each of ``cols`` columns.

    Where the weights are ``rotated``, so are the integers, and the exponent makes up for it.

    Raises
    ------
    ValueError
        When ``x`` has the wrong length or type, or is not finite, or its length is none that can be rotated.
    """
    if x.shape != (cols,):
        raise ValueError(f"activations must have shape ({cols},), not {x.shape}")
    elements, shared = to_block_floating_point(x, bits)
    return (rotated_inputs(elements), shared + SHIFT) if rotated else (elements, shared)


def to_block_floating_point(x: np.ndarray, bits: int = ACT_BITS) -> tuple[np.ndarray, int]:
    """Convert a float16 vector; returns int64 elements and the shared biased exponent, 1 to 30.

    Raises
    ------
    ValueError
        When ``x`` is not float16 or not finite.
    """
    significand, field = fp16_fields(require_finite(x, "activations"))
    shared = int(field.max(initial=1))
    # A float64 holds the 11-bit significand at any of these scales exactly, and rint rounds ties to even.
    aligned = np.rint(np.ldexp(significand.astype(np.float64), bits - 2 - FP16_FRACTION - (shared - field)))
    limit = (1 << (bits - 1)) - 1
    return aligned.clip(-limit, limit).astype(np.int64), shared
