"""SeedLM's codes where each row has a scale in the place of exponents."""

from collections.abc import Callable
from math import frexp, sqrt
from typing import NamedTuple

import numpy as np

from golden.block import CompressedMatrix
from golden.spec import BlockFormat
from host.encoder.metric import channel_numbers
from host.encoder.row_scales import searched
from host.packing import decode

__all__ = ["RowSearch", "encode_rows", "row_bias"]

_SLAB = 1 << 22  # weights whose rows are searched side by side: some seconds, and 200 MB
_GREATEST = 10  # with its bias taken out, the greatest weight is below 2**10 units of U: scales are then about 2**8
_BIAS_MIN = -64
_CODES_RMS = 6.5  # of the best codes of 4 bits of Gaussian blocks, times weights for each coefficient
_FARTHEST = 0.6  # of what a block can hold: so near its row's greatest weight may be, under its first scale
_SLOPE = -0.02  # how much the logarithm of the fitted scale rises, about, when that of the scale grows by 1
_CHANCE = 4  # variances by which a fitted scale has to differ from the one that was given

Progress = Callable[[int, int], None]
RowSearch = Callable[[np.ndarray, Progress | None], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Returns seeds, exponents, (rows, blocks), and coefficients, (rows, blocks, p), of least squared error for rows that
are divided by their scales and the unit of U. It tells again and again what part of the work is done: (done, in
all)."""


class _Codes(NamedTuple):
    """The best codes of some rows; see :class:`host.encoder.row_scales.Found`."""

    seeds: np.ndarray
    coefs: np.ndarray
    errors: np.ndarray
    fitted: np.ndarray


def row_bias(greatest: float, fmt: BlockFormat, most: int) -> int:
    """Return the exponent bias for weights whose greatest magnitude is given, at most ``most``: rows 20 octaves below
    still have normal scales."""
    return min(max(frexp(greatest)[1] - _GREATEST - fmt.k + 1, _BIAS_MIN), most) if greatest else 0


def _first(fmt: BlockFormat) -> float:
    """Return about the best scale for a Gaussian row whose root mean square is 1: that of p products of numbers of U,
    which are uniform, and of codes."""
    return sqrt(3 / fmt.p) * fmt.c / (_CODES_RMS * fmt.p * 2.0 ** (fmt.coef_bits - 4) * fmt.unit)


class _Slab:
    """Some rows, whose codes are searched side by side.

    Parameters
    ----------
    given : float64 array, (rows, columns)
        The weights.
    columns : float64 array, (columns,)
        What an error in each column counts.
    search : RowSearch
    """

    def __init__(self, fmt: BlockFormat, given: np.ndarray, columns: np.ndarray, search: RowSearch) -> None:
        self.fmt, self.given, self.columns, self.search = fmt, given, columns, search
        self.weighted = given * columns
        self.squares = np.square(self.weighted).sum(axis=1)

    def found(self, live: np.ndarray, scales: np.ndarray, told: Progress | None) -> _Codes:
        """Return the best codes of the rows of these numbers, under scales."""
        cols = self.given.shape[1]
        seeds, exponents, coefs = self.search(self.given[live] / (scales * self.fmt.unit)[:, None], told)
        matrix = CompressedMatrix(self.fmt, (len(live), cols), seeds, exponents, coefs,
                                  scales=np.zeros(len(live), np.float16))
        values = decode.numerators(matrix).reshape(len(live), -1)[:, :cols] * self.columns
        products, energies = (values * self.weighted[live]).sum(axis=1), np.square(values).sum(axis=1)
        errors = np.square(self.weighted[live] - values * scales[:, None]).sum(axis=1)
        fitted = np.divide(products, energies, out=np.zeros(len(live)), where=energies > 0)
        return _Codes(seeds, coefs, errors, fitted)


def encode_rows(weights: np.ndarray, fmt: BlockFormat, bias: int, channel_weights: np.ndarray | None,
                search: RowSearch, progress: Progress | None) -> CompressedMatrix:
    """Compress a matrix whose rows have scales; see :func:`host.encoder.encoder.encode`.

    Parameters
    ----------
    bias : int
        The exponent bias.
    search : RowSearch
    progress : callable, optional
        Called with (rows done, rows in all), each of which counts half when its first codes are found.
    """
    rows, cols = weights.shape
    columns = np.ones(cols) if channel_weights is None else channel_numbers(channel_weights, cols)
    columns = columns / (columns.max(initial=0) or 1)
    reach = _first(fmt) / (float(np.sqrt(np.square(columns).sum())) or 1)
    farthest = _FARTHEST * fmt.p * -fmt.coef_min * fmt.unit
    blocks, step = -(-cols // fmt.c), max(_SLAB // max(cols, 1), 1)
    seeds, coefs = np.ones((rows, blocks), np.uint32), np.zeros((rows, blocks, fmt.p), np.int8)
    scales, done = np.zeros(rows, np.float16), 0.0

    def tell(now: float) -> None:
        nonlocal done
        done = max(done, now)
        if progress:
            progress(int(done), rows)

    for start in range(0, rows, step):
        slab = _Slab(fmt, np.ldexp(weights[start:start + step].astype(np.float64), -bias), columns, search)
        part, count = slice(start, start + step), len(slab.given)

        def find(live: np.ndarray, tried: np.ndarray, slab: _Slab = slab, start: int = start) -> _Codes:
            return slab.found(live, tried, lambda at, end: tell(start + len(live) / 2 * at / end))

        none = _Codes(seeds[part], coefs[part], slab.squares.copy(), np.zeros(count))
        first = np.maximum(reach * np.sqrt(slab.squares), np.abs(slab.weighted).max(axis=1, initial=0) / farthest)
        scales[part], _ = searched(find, first, none, _SLOPE, _CHANCE / max(cols, 1))
        tell(start + count)
    return CompressedMatrix(fmt, weights.shape, seeds, np.zeros((rows, blocks), np.int8), coefs, bias, scales)
