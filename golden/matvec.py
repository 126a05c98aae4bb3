"""The SeedLM matrix-vector product, exactly as the hardware computes it.

Every row's sum of (activation integer) * (weight numerator) << (exponent + 8) is an integer without rounding; the
order of summation cannot matter. It becomes a float32 once, and the constants follow in one place, :func:`factor`.
Without exponents there is no shift, and the row's scale follows in the same place.
"""

import numpy as np

from golden.activations import column_integers, lsb_exponent
from golden.block import CompressedMatrix
from golden.float32 import scaled
from golden.scales import row_factor
from golden.spec import ACT_BITS, BlockFormat

__all__ = ["accumulate", "factor", "matvec"]


def factor(fmt: BlockFormat, exponent_bias: int = 0, act_bits: int = ACT_BITS) -> np.float32:
    """The constant by which a row sum is multiplied, but for 2**(shared activation exponent), which is added later.

    2**(exp_min + bias) undoes the shift of the exponents, 2**lsb_exponent(0, act_bits) gives activations their unit,
    and 1 / (2**(k-1) - 1) turns numerators into weights. Rounded to float32 once. Without exponents, it is
    :func:`golden.scales.row_factor`.

    Raises
    ------
    ValueError
        When the factor is not a normal float32.
    """
    if fmt.head_blocks:
        return row_factor(exponent_bias, act_bits)
    value = np.ldexp(1.0 / fmt.unit, fmt.exp_min + exponent_bias + lsb_exponent(0, act_bits))
    if not np.ldexp(1.0, -126) <= value < np.ldexp(1.0, 128):
        raise ValueError(f"exponent bias {exponent_bias} puts the result factor {value:g} outside float32")
    return np.float32(value)


def accumulate(matrix: CompressedMatrix, x: np.ndarray) -> np.ndarray:
    """Exact row sums for integer activations ``x`` (int64, one per column): object array of int, (rows,)."""
    rows, cols = matrix.shape
    numerators = matrix.numerators()
    padded = np.pad(x, (0, numerators.shape[1] * matrix.fmt.c - cols)).reshape(-1, matrix.fmt.c)
    dots = np.einsum("rbc,bc->rb", numerators, padded)  # at most 2**54 for every format: exact in int64
    sums = np.zeros(rows, dtype=object)
    for exponent in range(matrix.fmt.exp_min, matrix.fmt.exp_max + 1):
        part = np.where(matrix.exponents == exponent, dots, 0)
        # So many blocks at a time, sums are exact in int64 too.
        for block in range(0, part.shape[1], 1 << 9):
            sums += part[:, block:block + (1 << 9)].sum(axis=1).astype(object) << (exponent - matrix.fmt.exp_min)
    return sums


def matvec(matrix: CompressedMatrix, x: np.ndarray, act_bits: int = ACT_BITS) -> np.ndarray:
    """``matrix @ x`` for a float16 vector of one element per column, as integers of ``act_bits``: float32, (rows,).

    Raises
    ------
    ValueError
        When ``x`` has the wrong length or type, or is not finite.
    """
    elements, shared = column_integers(x, matrix.shape[1], act_bits, matrix.rotated)
    return scaled(accumulate(matrix, elements), factor(matrix.fmt, matrix.exponent_bias, act_bits), shared,
                  matrix.scales)
