"""The matrix-vector product of the trellis code, exactly as the hardware computes it.

A row's sum of (activation integer) * (weight integer) is an integer. It becomes a float32 once, and the scale of the
row follows in the same place.
"""

import numpy as np

from golden.activations import column_integers
from golden.float32 import scaled
from golden.scales import row_factor
from golden.spec import ACT_BITS
from golden.trellis.matrix import TrellisMatrix

__all__ = ["accumulate", "matvec"]


def accumulate(matrix: TrellisMatrix, x: np.ndarray) -> np.ndarray:
    """Exact row sums for integer activations ``x`` (int64, one per column): object array of int, (rows,)."""
    # 11 bits of an integer, 18 of an activation and 16 of the columns fit an int64.
    return (matrix.integers() @ x).astype(object)


def matvec(matrix: TrellisMatrix, x: np.ndarray, act_bits: int = ACT_BITS) -> np.ndarray:
    """``matrix @ x`` for a float16 vector of one element per column, as integers of ``act_bits``: float32, (rows,).

    Raises
    ------
    ValueError
        When ``x`` has the wrong length or type, or is not finite.
    """
    elements, shared = column_integers(x, matrix.shape[1], act_bits, matrix.rotated)
    return scaled(accumulate(matrix, elements), row_factor(matrix.exponent_bias, act_bits), shared, matrix.scales)
