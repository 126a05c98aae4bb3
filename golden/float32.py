"""From an exact integer sum to a float32 result: the two roundings of the result path.

1. The sum is rounded to 24 significant bits, ties to even.
2. That is multiplied by the constant factor, a float32, by the scale of its row where rows have scales, and by a power
   of two; the product is rounded to 24 bits, ties to even; above the largest float32 it saturates to plus or minus that
   number. It cannot underflow: a sum that is not zero is at least 1, so is a scale in its unit, and the factor is
   normal. Zero is +0. Infinities and NaN do not occur.

Where the factor is a power of two and there are no scales of rows, the one rounding is the first.
"""

from collections.abc import Iterable

import numpy as np

from golden.scales import SCALE_UNIT

__all__ = ["round_to_24_bits", "scaled"]

_LARGEST = float(np.finfo(np.float32).max)


def round_to_24_bits(value: int) -> float:
    """The integer rounded to 24 significant bits, ties to even; exact as a float for |value| < 2**1000."""
    magnitude = abs(value)
    drop = max(magnitude.bit_length() - 24, 0)
    kept, rest, half = magnitude >> drop, magnitude & ((1 << drop) - 1), (1 << drop) >> 1
    kept += drop > 0 and (rest > half or (rest == half and kept & 1 == 1))
    return float(kept << drop) * (-1 if value < 0 else 1)


def scaled(sums: Iterable[int], factor: np.float32, power: int, scales: np.ndarray | None = None) -> np.ndarray:
    """Results ``sum * factor * 2**power`` of exact integer sums, rounded as the module says: float32, one per sum.

    ``scales``, float16, one per sum, are those of rows; the factor is then a power of two, and each result is
    ``sum * factor * 2**power * scale / 2**SCALE_UNIT``.
    """
    rounded = np.array([round_to_24_bits(int(value)) for value in sums], dtype=np.float64)
    # 24 x 24 bits, or 24 x 11 with a scale, fit the 53 of a float64, and so does every exponent here: the product is
    # exact.
    multiplied = rounded * np.float64(factor)
    if scales is not None:
        multiplied = multiplied * np.ldexp(scales.astype(np.float64), -SCALE_UNIT) + 0.0  # never -0
    mantissa, exponent = np.frexp(np.ldexp(multiplied, power))
    result = np.ldexp(np.rint(np.ldexp(mantissa, 24)), exponent - 24)
    return result.clip(-_LARGEST, _LARGEST).astype(np.float32)
