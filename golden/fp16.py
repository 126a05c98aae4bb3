"""The FP16 baseline's matrix-vector product: exact sum of FP16 x FP16 products, rounded to float32 once."""

from functools import cache

import numpy as np

from golden.activations import fp16_fields, require_finite
from golden.float32 import scaled

__all__ = ["FACTOR", "accumulate", "matvec"]

_DIGIT = 20
_CHUNK_COLS = 1 << 12
FACTOR = np.float32(2.0**-48)
"""What one unit of a row sum stands for: the product of two least subnormals, 2**-24 each."""


@cache
def _digits_of_all() -> np.ndarray:
    """Every float16, by its bits, as an integer of 40 bits and a sign in units of 2**-24, cut into a lower digit of 20
    bits and the rest, both float64: (2**16, 2)."""
    significand, field = fp16_fields(np.arange(1 << 16, dtype=np.uint16).view(np.float16))
    integers = significand << (field - 1)
    return np.stack([integers & ((1 << _DIGIT) - 1), integers >> _DIGIT], axis=-1).astype(np.float64)


def accumulate(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Exact row sums in units of 2**-48: object array of int, (rows,)."""
    digits, sums = np.ascontiguousarray(_digits_of_all().T), np.zeros(len(weights), dtype=object)
    # Products of two digits have 40 bits; a float64 holds every sum of so many exactly.
    for start in range(0, len(x), _CHUNK_COLS):
        columns = slice(start, start + _CHUNK_COLS)
        factors = _digits_of_all()[x[columns].view(np.uint16)]
        for i, digit in enumerate(digits):
            part = digit[weights[:, columns].view(np.uint16)] @ factors
            for j in range(2):
                sums += part[:, j].astype(np.int64).astype(object) << _DIGIT * (i + j)
    return sums


def matvec(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``weights @ x`` for float16 (rows, columns) and (columns,): float32, (rows,).

    Raises
    ------
    ValueError
        When a shape or dtype is wrong or a value is not finite.
    """
    if weights.ndim != 2 or x.shape != weights.shape[1:]:
        raise ValueError(f"shapes {weights.shape} and {x.shape} do not make a matrix-vector product")
    require_finite(weights, "weights")
    require_finite(x, "activations")
    return scaled(accumulate(weights, x), FACTOR, 0)
