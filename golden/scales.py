"""The scales of rows: one FP16 number for each row of a matrix, by which its result is multiplied once.

A scale counts in units of 2**-24, the least FP16 number, and the factor of the matrix makes up for it. So the scale is
an integer, and with it the result never falls below the normal float32 numbers. A scale is zero or a normal number: a
subnormal one would need a shift of its own in hardware, and a row so small is better served by another bias.
"""

import numpy as np

from golden.activations import lsb_exponent, require_finite
from golden.spec import ACT_BITS

__all__ = ["LEAST_SCALE", "SCALE_UNIT", "require_row_scales", "row_factor"]

SCALE_UNIT = -24
"""Power of two in units of which a row's scale counts."""
LEAST_SCALE = 2.0**-14
"""The least scale but zero: the least normal FP16 number."""


def require_row_scales(scales: np.ndarray, rows: int) -> None:
    """Refuse scales that are no (rows,) float16, zero or normal.

    Raises
    ------
    ValueError
    """
    if scales.shape != (rows,):
        raise ValueError(f"scales of {rows} rows must have shape {(rows,)}, not {scales.shape}")
    magnitudes = np.abs(require_finite(scales, "scales").astype(np.float64))
    if ((magnitudes > 0) & (magnitudes < LEAST_SCALE)).any():
        raise ValueError(f"scales must be zero or at least {LEAST_SCALE}, found "
                         f"{magnitudes[magnitudes > 0].min()}")


def row_factor(exponent_bias: int, act_bits: int = ACT_BITS) -> np.float32:
    """The power of two by which row sums are multiplied beside their scales in units of 2**SCALE_UNIT, but for
    2**(shared activation exponent), which is added later.

    Raises
    ------
    ValueError
        When it is not a normal float32.
    """
    power = exponent_bias + lsb_exponent(0, act_bits) + SCALE_UNIT
    if not -126 <= power <= 127:
        raise ValueError(f"exponent bias {exponent_bias} puts the result factor 2**{power} outside float32")
    return np.float32(2.0**power)
