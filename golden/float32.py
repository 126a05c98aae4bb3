"""From an exact integer sum to a float32 result: the two roundings of the result path.

1. The sum is rounded to 24 significant bits, ties to even.
2. That is multiplied by the constant factor, a float32, and by a power of two; the product is rounded to 24 bits,
   ties to even; above the largest float32 it saturates to plus or minus that number. It cannot underflow: a sum that
   is not zero is at least 1, and the factor is normal. Zero is +0. Infinities and NaN do not occur.

The FP16 baseline's factor is a power of two, so its one rounding is the first.
"""

from collections.abc import Iterable

import numpy as np

__all__ = ["round_to_24_bits", "scaled"]

_LARGEST = float(np.finfo(np.float32).max)


def round_to_24_bits(value: int) -> float:
    """The integer rounded to 24 significant bits, ties to even; exact as a float for |value| < 2**1000."""
    magnitude = abs(value)
    drop = max(magnitude.bit_length() - 24, 0)
    kept, rest, half = magnitude >> drop, magnitude & ((1 << drop) - 1), (1 << drop) >> 1
    kept += drop > 0 and (rest > half or (rest == half and kept & 1 == 1))
    return float(kept << drop) * (-1 if value < 0 else 1)


def scaled(sums: Iterable[int], factor: np.float32, power: int) -> np.ndarray:
    """Results ``sum * factor * 2**power`` of exact integer sums, rounded as the module says: float32, one per sum."""
    rounded = np.array([round_to_24_bits(int(value)) for value in sums], dtype=np.float64)
    # 24 x 24 bits fit the 53 of a float64, and so does every exponent here: the product is exact.
    mantissa, exponent = np.frexp(np.ldexp(rounded * np.float64(factor), power))
    result = np.ldexp(np.rint(np.ldexp(mantissa, 24)), exponent - 24)
    return result.clip(-_LARGEST, _LARGEST).astype(np.float32)
