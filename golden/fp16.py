"""The FP16 baseline's matrix-vector product: exact sum of FP16 x FP16 products, rounded to float32 once."""

import numpy as np

from golden.activations import fp16_fields, require_finite
from golden.float32 import scaled

__all__ = ["FACTOR", "accumulate", "matvec"]

_CHUNK_ROWS = 256  # bounds the memory of the product table
FACTOR = np.float32(2.0**-48)
"""What one unit of a row sum stands for: the product of two least subnormals, 2**-24 each."""


def accumulate(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Exact row sums in units of 2**-48: object array of int, (rows,)."""
    wm, wf = fp16_fields(weights)
    xm, xf = fp16_fields(x)
    sums = np.zeros(len(weights), dtype=object)
    for start in range(0, len(weights), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        product, shift = wm[rows] * xm, wf[rows] + xf - 2  # 22 bits, shifted by 0 to 58
        # Two halves of the shift range keep every partial sum of up to 2**12 products in int64.
        for base in range(0, 60, 30):
            chosen = (shift >= base) & (shift < base + 30)
            part = np.where(chosen, product << np.where(chosen, shift - base, 0), 0)
            for column in range(0, part.shape[1], 1 << 11):
                sums[rows] += part[:, column:column + (1 << 11)].sum(axis=1).astype(object) << base
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
