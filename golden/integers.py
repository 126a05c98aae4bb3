"""The integer controls: codes of a few bits under a scale for each group, and their exact matrix-vector product.

A row's sum of (activation integer) * code over a group, times the scale's significand, shifted by its exponent, is an
integer; the sum of those is rounded once, as SeedLM's is.
"""

from dataclasses import dataclass

import numpy as np

from golden.activations import column_integers, fp16_fields, require_finite
from golden.float32 import scaled
from golden.scales import row_factor
from golden.spec import ACT_BITS, SCALE_BITS, GroupFormat

__all__ = ["GroupMatrix", "accumulate", "factor", "greatest_scales", "matvec", "nearest_codes", "quantise",
           "searched_scales"]

_CANDIDATES = 32
"""Scales of each sign that a search starts from."""
_SEARCHED = 1 << 16
"""Weights that are searched at once, so that what is computed from them stays in the processor's cache."""


def _split(array: np.ndarray, fmt: GroupFormat) -> tuple[np.ndarray, np.ndarray]:
    """The groups of an array (rows, columns): all but the last of each row, (rows, groups - 1, group), and the last,
    (rows, its columns)."""
    rows, cols = array.shape
    others = fmt.groups(cols) - 1
    return array[:, :others * fmt.group].reshape(rows, others, fmt.group), array[:, others * fmt.group:]


@dataclass(frozen=True)
class GroupMatrix:
    """A weight matrix as codes and the scales of their groups.

    Parameters
    ----------
    fmt : GroupFormat
    codes : int8 array, (rows, columns)
        ``code_min`` to ``code_max``.
    scales : float16 array, (rows, groups)
        Finite; ``fmt.groups(columns)`` of each row.
    rotated : bool
        Whether the weights are those of rotated inputs (:mod:`golden.rotation`).

    Raises
    ------
    ValueError
        When the units disagree or a value is out of its range.
    """

    fmt: GroupFormat
    codes: np.ndarray
    scales: np.ndarray
    rotated: bool = False

    def __post_init__(self) -> None:
        rows, cols = self.shape
        wanted = rows, self.fmt.groups(cols)
        if self.scales.shape != wanted:
            raise ValueError(f"scales of a {rows} x {cols} matrix must have shape {wanted}, not {self.scales.shape}")
        require_finite(self.scales, "scales")
        low, high = self.fmt.code_min, self.fmt.code_max
        if self.codes.size and not low <= self.codes.min() <= self.codes.max() <= high:
            raise ValueError(f"codes must lie in {low}..{high}, found {self.codes.min()}..{self.codes.max()}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (outputs) and columns (inputs)."""
        rows, cols = self.codes.shape
        return rows, cols

    def blocks(self) -> np.ndarray:
        """The codes by block, zeros behind the last of a row: int8, (rows, blocks, c)."""
        (rows, cols), c = self.shape, self.fmt.c
        blocks = max(-(-cols // c), self.fmt.group_blocks)
        return np.pad(self.codes, ((0, 0), (0, blocks * c - cols))).reshape(rows, blocks, c)

    def weights(self) -> np.ndarray:
        """The weights that the codes stand for: float64, (rows, columns)."""
        (_, cols), (_, groups) = self.shape, self.scales.shape
        group = np.minimum(np.arange(cols) // self.fmt.group, groups - 1)
        return self.codes * self.scales.astype(np.float64)[:, group]

    def packed(self) -> np.ndarray:
        """Every block as an integer of ``block_bits`` bits: object array of int, (rows, blocks)."""
        fmt, codes = self.fmt, self.blocks().astype(object)
        words = np.zeros(codes.shape[:2], dtype=object)
        for i in range(fmt.c):
            words |= (codes[..., i] & ((1 << fmt.bits) - 1)) << (i * fmt.bits)
        scales = self.scales.view(np.uint16).astype(object)
        stored = SCALE_BITS * scales.shape[1]
        for n in range(SCALE_BITS):
            words[:, n:stored:SCALE_BITS] |= ((scales >> n) & 1) << (fmt.c * fmt.bits)
        return words


def nearest_codes(groups: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """Codes of ``bits`` bits for groups of weights, float64, (groups, weights), under scales, float16, (groups,): int8,
    (groups, weights).

    They are rounded to nearest, ties to even, and cut off at the ends of their range.
    """
    end, divisor = 1 << (bits - 1), scales.astype(np.float64)[:, None]
    codes = np.rint(np.divide(groups, divisor, out=np.zeros_like(groups), where=divisor != 0))
    return codes.clip(-end, end - 1).astype(np.int8)


def _half(values: np.ndarray) -> np.ndarray:
    """The values rounded to FP16, to infinity where they are beyond it."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def greatest_scales(groups: np.ndarray, bits: int) -> np.ndarray:
    """Scales that the greatest magnitude of each group, (groups, weights), needs under the greatest code: float16,
    (groups,). They are infinite where FP16 does not reach so far."""
    return _half(np.abs(groups).max(axis=1, initial=0) / ((1 << (bits - 1)) - 1))


def _fitted(units: np.ndarray, bits: int) -> np.ndarray:
    """The best scales that a search from ``_CANDIDATES`` scales of each sign finds: float32, (groups,).

    ``units`` are groups of weights with a greatest magnitude of 1, float32, (groups, weights).
    """
    end = np.float32(1 << (bits - 1))
    best, gain = np.zeros(len(units), np.float32), np.full(len(units), -1, np.float32)
    codes = np.empty_like(units)

    def fit(inverse: np.ndarray | np.float32) -> tuple[np.ndarray, np.ndarray]:
        """For the codes under 1 / ``inverse``, the scale of least squared error, and what it takes off the error."""
        np.multiply(units, inverse, out=codes)
        np.clip(np.rint(codes, out=codes), -end, end - 1, out=codes)
        both, square = np.einsum("gw,gw->g", units, codes), np.maximum(np.einsum("gw,gw->g", codes, codes), 1)
        return both / square, both * both / square

    # The fewer bits, the more it pays to cut the greatest weights off.
    for reach in np.linspace(1 - 1.6 / 2**bits, 1 + 20 / 2**bits, _CANDIDATES, dtype=np.float32) * (end - 1):
        for inverse in (reach, -reach):
            scales, gains = fit(inverse)
            better = gains > gain
            best, gain = np.where(better, scales, best), np.where(better, gains, gain)
    return fit(np.divide(1, best, out=np.zeros_like(best), where=best != 0)[:, None])[0]


def _best(groups: np.ndarray, bits: int) -> np.ndarray:
    """As :func:`searched_scales`, for a few groups."""
    greatest = greatest_scales(groups, bits)
    at = np.abs(groups).argmax(axis=1)[:, None]
    extreme = np.take_along_axis(groups, at, axis=1)
    most = np.abs(extreme)
    units = np.divide(groups, most, out=np.zeros_like(groups), where=most > 0).astype(np.float32)
    fitted = _half(most[:, 0] * _fitted(units, bits))
    best, error = greatest, np.full(len(groups), np.inf)
    for scales in (greatest, _half(extreme[:, 0] / -(1 << (bits - 1))), fitted,
                   np.nextafter(fitted, np.float16(np.inf)), np.nextafter(fitted, np.float16(-np.inf))):
        finite = np.where(np.isfinite(scales), scales, np.float16(0))
        restored = nearest_codes(groups, finite, bits) * finite.astype(np.float64)[:, None]
        errors = np.square(restored - groups).sum(axis=1)
        best, error = np.where(errors < error, finite, best), np.minimum(errors, error)
    return np.where(np.isfinite(greatest), best, greatest)


def searched_scales(groups: np.ndarray, bits: int) -> np.ndarray:
    """Scales of least squared error for groups of weights, float64, (groups, weights): float16, (groups,).

    A search starts from 32 scales of each sign, under which the greatest magnitude of the group is from 0.9 to 2.25
    times the greatest code of 4 bits, from 0.8 to 3.5 times that of 3, and from 0.99 to 1.08 times that of 8. For the
    codes under each of them, the best scale follows by least squares. The scale that takes most off the error is fitted
    once more, to the codes under itself, and rounded to FP16. Its neighbours in FP16 and the scales under which the
    group's greatest magnitude has the greatest or the least code are tried too.

    So the error is never above that of :func:`greatest_scales`. On groups of 128 normal weights, it is within 0.1 % of
    the least error that any real scale has for 3 and 4 bits, where ``tests/golden/test_integers.py`` compares it with a
    search of all scales at which a code changes, and within 1 % for 8 bits. Where :func:`greatest_scales` is infinite,
    so is the result.
    """
    step = max(_SEARCHED // max(groups.shape[1], 1), 1)
    return np.concatenate([np.zeros(0, np.float16), *(_best(groups[start:start + step], bits)
                                                      for start in range(0, len(groups), step))])


def quantise(weights: np.ndarray, fmt: GroupFormat, search: bool = True) -> GroupMatrix:
    """Round a (rows, columns) float matrix to nearest, each group under a scale of its own.

    Parameters
    ----------
    search : bool
        Take the scales of least squared error, :func:`searched_scales`, in place of those that the greatest weights
        need, :func:`greatest_scales`.

    Raises
    ------
    ValueError
        When a weight is not finite, or so great that the scale that it needs is beyond FP16.
    """
    if not np.isfinite(weights).all():
        raise ValueError("weights contain NaN or infinity")
    codes, scales, rows = [], [], len(weights)
    for part in _split(np.asarray(weights, dtype=np.float64), fmt):
        groups = part.reshape(-1, part.shape[-1])
        found = (searched_scales if search else greatest_scales)(groups, fmt.bits)
        require_finite(found, "scales")
        scales.append(found.reshape(rows, -1))
        codes.append(nearest_codes(groups, found, fmt.bits).reshape(rows, -1))
    return GroupMatrix(fmt, np.concatenate(codes, axis=1), np.concatenate(scales, axis=1))


def factor(act_bits: int = ACT_BITS) -> np.float32:
    """The constant by which a row sum is multiplied, but for 2**(shared activation exponent): the units of scales and
    of the activations, as :func:`golden.scales.row_factor` has them."""
    return row_factor(0, act_bits)


def accumulate(matrix: GroupMatrix, x: np.ndarray) -> np.ndarray:
    """Exact row sums for integer activations ``x`` (int64, one per column): object array of int, (rows,)."""
    (others, last), (x_others, x_last) = (_split(array, matrix.fmt) for array in (matrix.codes, x[None]))
    dots = np.concatenate([np.einsum("rgc,gc->rg", others.astype(np.int64), x_others[0]),
                           last.astype(np.int64) @ x_last.T], axis=1)
    significand, field = fp16_fields(matrix.scales)
    return ((dots * significand).astype(object) << (field - 1).astype(object)).sum(axis=1)


def matvec(matrix: GroupMatrix, x: np.ndarray, act_bits: int = ACT_BITS) -> np.ndarray:
    """``matrix @ x`` for a float16 vector of one element per column: float32, (rows,).

    Raises
    ------
    ValueError
        When ``x`` has the wrong length or type, or is not finite.
    """
    elements, shared = column_integers(x, matrix.shape[1], act_bits, matrix.rotated)
    return scaled(accumulate(matrix, elements), factor(act_bits), shared)
