"""The int4 control: weights rounded to nearest under a scale for each group, and their exact matrix-vector product.

A row's sum of (activation integer) * code over a group, times the scale's significand, shifted by its exponent, is an
integer; the sum of those is rounded once, as SeedLM's is. Nothing here is limited to four bits.
"""

from dataclasses import dataclass

import numpy as np

from golden.activations import column_integers, fp16_fields, lsb_exponent, require_finite
from golden.float32 import scaled
from golden.spec import ACT_BITS, FP16_EXP_BIAS, FP16_FRACTION, SCALE_BITS, GroupFormat

__all__ = ["GroupMatrix", "accumulate", "factor", "matvec", "nearest_codes", "quantise"]


@dataclass(frozen=True)
class GroupMatrix:
    """A weight matrix as codes and the scales of their groups.

    Parameters
    ----------
    fmt : GroupFormat
    codes : int8 array, (rows, columns)
        ``code_min`` to ``code_max``.
    scales : float16 array, (rows, groups)
        Finite, not negative; groups = ceil(columns / group).

    Raises
    ------
    ValueError
        When the shapes disagree or a value is out of its range.
    """

    fmt: GroupFormat
    codes: np.ndarray
    scales: np.ndarray

    def __post_init__(self) -> None:
        rows, cols = self.shape
        wanted = rows, -(-cols // self.fmt.group)
        if self.scales.shape != wanted:
            raise ValueError(f"scales of a {rows} x {cols} matrix must have shape {wanted}, not {self.scales.shape}")
        require_finite(self.scales, "scales")
        if np.signbit(self.scales).any():
            raise ValueError("scales must not be negative")
        low, high = self.fmt.code_min, self.fmt.code_max
        if self.codes.size and not low <= self.codes.min() <= self.codes.max() <= high:
            raise ValueError(f"codes must lie in {low}..{high}, found {self.codes.min()}..{self.codes.max()}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (outputs) and columns (inputs)."""
        rows, cols = self.codes.shape
        return rows, cols

    def groups(self) -> np.ndarray:
        """The codes by group, zeros behind the last of a row: int8, (rows, groups, group)."""
        rows, cols = self.shape
        return np.pad(self.codes, ((0, 0), (0, -cols % self.fmt.group))).reshape(rows, -1, self.fmt.group)

    def weights(self) -> np.ndarray:
        """The weights that the codes stand for: float64, (rows, columns)."""
        rows, cols = self.shape
        full = self.groups() * self.scales.astype(np.float64)[..., None]
        return full.reshape(rows, -1)[:, :cols]

    def packed(self) -> np.ndarray:
        """Every block as an integer of ``block_bits`` bits: object array of int, (rows, 16 * groups)."""
        fmt, rows = self.fmt, self.shape[0]
        codes = self.groups().reshape(rows, -1, fmt.c).astype(object)
        words = np.zeros(codes.shape[:2], dtype=object)
        for i in range(fmt.c):
            words |= (codes[..., i] & ((1 << fmt.bits) - 1)) << (i * fmt.bits)
        scales = self.scales.view(np.uint16).astype(object)
        for n in range(SCALE_BITS):
            words[:, n::SCALE_BITS] |= ((scales >> n) & 1) << (fmt.c * fmt.bits)
        return words


def nearest_codes(groups: np.ndarray, bits: int, shrink: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Codes of ``bits`` bits and scales for groups of weights, float64, (groups, weights).

    A group's scale is ``shrink`` times what its greatest magnitude needs, rounded to FP16 (to infinity when it is
    beyond); codes are rounded to nearest, ties to even, and cut off at the ends of their range.

    Returns
    -------
    int8 array (groups, weights), float16 array (groups,)
    """
    top = (1 << (bits - 1)) - 1
    with np.errstate(over="ignore"):
        scales = (np.abs(groups).max(axis=1, initial=0) / top * shrink).astype(np.float16)
    divisor = scales.astype(np.float64)[:, None]
    codes = np.rint(np.divide(groups, divisor, out=np.zeros_like(groups), where=divisor > 0)).clip(-top - 1, top)
    return codes.astype(np.int8), scales


def quantise(weights: np.ndarray, fmt: GroupFormat) -> GroupMatrix:
    """Round a (rows, columns) float matrix to nearest, each group under the scale that its greatest weight needs.

    Raises
    ------
    ValueError
        When a weight is not finite, or so great that its scale is beyond FP16.
    """
    if not np.isfinite(weights).all():
        raise ValueError("weights contain NaN or infinity")
    rows, cols = weights.shape
    padded = np.pad(np.asarray(weights, dtype=np.float64), ((0, 0), (0, -cols % fmt.group)))
    codes, scales = nearest_codes(padded.reshape(-1, fmt.group), fmt.bits)
    return GroupMatrix(fmt, codes.reshape(rows, -1)[:, :cols], scales.reshape(rows, -1))


def factor(act_bits: int = ACT_BITS) -> np.float32:
    """The constant by which a row sum is multiplied, but for 2**(shared activation exponent): the units of the least
    subnormal scale and of the activations. A power of two."""
    return np.float32(np.ldexp(1.0, 1 - FP16_EXP_BIAS - FP16_FRACTION + lsb_exponent(0, act_bits)))


def accumulate(matrix: GroupMatrix, x: np.ndarray) -> np.ndarray:
    """Exact row sums for integer activations ``x`` (int64, one per column): object array of int, (rows,)."""
    groups = matrix.groups().astype(np.int64)
    padded = np.pad(x, (0, groups.shape[1] * matrix.fmt.group - matrix.shape[1])).reshape(-1, matrix.fmt.group)
    dots = np.einsum("rgc,gc->rg", groups, padded)
    significand, field = fp16_fields(matrix.scales)
    return ((dots * significand).astype(object) << (field - 1).astype(object)).sum(axis=1)


def matvec(matrix: GroupMatrix, x: np.ndarray, act_bits: int = ACT_BITS) -> np.ndarray:
    """``matrix @ x`` for a float16 vector of one element per column: float32, (rows,).

    Raises
    ------
    ValueError
        When ``x`` has the wrong length or type, or is not finite.
    """
    elements, shared = column_integers(x, matrix.shape[1], act_bits)
    return scaled(accumulate(matrix, elements), factor(act_bits), shared)
