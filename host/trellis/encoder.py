"""The encoder of the trellis code: for each row, a scale, and the path of least squared error under it.

Under a scale, the path is the best of all that there are: the kernel in ``viterbi.c`` leaves no window out, and sums in
single precision are its only inexactness. The scale itself is searched. At the best one, least squares on the
path's own integers give the same scale again; so the search looks for the scale at which they do, by the secant rule,
and keeps the best of the few paths that this takes.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import c_float, c_long, c_void_p
from math import exp, frexp, log
from typing import NamedTuple

import numpy as np

from golden.trellis.matrix import TrellisMatrix
from golden.trellis.spec import TrellisFormat
from golden.trellis.values import all_values
from host.errors import UserError
from host.trellis.kernel import load

__all__ = ["encode"]

_TASK = 1 << 16  # weights handed to a thread at a time: some 50 ms, so that progress is smooth and Ctrl-C is prompt
_GREATEST = 10  # the greatest weight is below 2**10, its bias taken out: rows 20 octaves below still have normal scales
_BIAS_MAX = 64  # with a bias beyond this, results of ordinary activations would be beyond float32
_RUNS = 4  # paths of a row at most; two are usual for Gaussian rows
_ENOUGH = 0.004  # the part of the squared error that another path must promise
_FARTHEST = 0.4  # the most that a step changes the logarithm of a scale


class _Path(NamedTuple):
    """The best codes of a row under a scale."""

    codes: np.ndarray
    start: int
    scale: float
    error: float
    """The sum of squares."""
    fitted: float
    """The scale that least squares give for these codes."""


def _reversed(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers of so many bits with their bits in reverse: int64."""
    values, out = values.astype(np.int64), np.zeros(values.shape, np.int64)
    for n in range(bits):
        out |= (values >> n & 1) << (bits - 1 - n)
    return out


class _Rows:
    """The searches of rows of one matrix, which share the metric of its columns and the kernel."""

    def __init__(self, fmt: TrellisFormat, columns: np.ndarray) -> None:
        self.fmt, self.kernel = fmt, load(fmt)
        values = all_values(fmt)[_reversed(np.arange(1 << fmt.window), fmt.window)]
        self.values, self.columns = values.astype(np.float32), columns.astype(np.float32)
        # Scales relative to the rms of a Gaussian row that are best with 2, 3 and 4 bits, and how much the logarithm of
        # the fitted scale falls, about, when that of the scale grows by 1.
        self.reach = (1.03 + 0.06 * (fmt.bits - 2)) / float(np.sqrt(np.square(self.values).mean()))
        self.slope = -0.5 * 2.0 ** -fmt.bits

    def best(self, row: np.ndarray, least: np.ndarray) -> _Path:
        """Search the scale and codes of a row, float64, (columns,). ``least`` is the kernel's memory."""
        x = np.ascontiguousarray(row * self.columns, np.float32)
        square = float(np.square(x, dtype=np.float64).sum())
        weight = float(np.square(self.columns, dtype=np.float64).sum())
        best = _Path(np.zeros(len(row), np.int64), 0, 0.0, square, 0.0)
        scale = float(np.float16(self.reach * np.sqrt(square / weight))) if square else 0.0
        slope, before, tried = self.slope, (0.0, 0.0), set[float]()
        for run in range(_RUNS):
            if scale in tried or not 0 < scale < np.inf:
                break
            tried.add(scale)
            path = self._path(x, scale, least)
            best = min(best, path, key=lambda each: each.error)
            if path.fitted <= 0 or not path.error:
                break
            at, off = log(scale), log(path.fitted / scale)
            if run and at != before[0]:
                # Paths change with the scale in jumps: a rise, or a fall of next to nothing, is such a jump.
                slope = min((off - before[1]) / (at - before[0]), self.slope / 3)
            if -off * off / slope < _ENOUGH * path.error / square:
                break
            before = at, off
            scale = float(np.float16(exp(at + min(max(-off / slope, -_FARTHEST), _FARTHEST))))
        return best

    def _path(self, x: np.ndarray, scale: float, least: np.ndarray) -> _Path:
        """The best codes of a row, its weights times what the columns weigh, under a scale."""
        codes, sums = np.empty(len(x), np.uint8), np.empty(3)
        pointers = (c_void_p(array.ctypes.data) for array in (self.values, x, self.columns, least, codes, sums))
        values, row, columns, memory, into, totals = pointers
        start = self.kernel.viterbi_row(values, row, columns, c_float(scale), c_long(len(x)), memory, into, totals)
        fitted = float(sums[1] / sums[2]) if sums[2] else 0.0
        return _Path(_reversed(codes, self.fmt.bits), int(_reversed(np.array(start), self.fmt.start_bits)), scale,
                     float(sums[0]), fitted)

    def several(self, rows: np.ndarray) -> list[_Path]:
        """Search a few rows, float64, (rows, columns)."""
        least = np.empty((rows.shape[1] + 1) * self.kernel.viterbi_stride(), np.float32)
        return [self.best(row, least) for row in rows]


def _bias(weights: np.ndarray) -> int:
    """The exponent bias for a matrix. UserError when a weight is not finite, or far beyond what a scale can hold."""
    greatest = float(np.abs(weights).max(initial=0))
    if not np.isfinite(greatest):
        raise UserError("the weights contain NaN or infinity: mend or leave out the tensor")
    bias = frexp(greatest)[1] - _GREATEST
    if bias > _BIAS_MAX:
        raise UserError(f"a weight of {greatest:.3g} is beyond what a trellis code holds: leave out the tensor, "
                        "or scale it")
    return max(bias, -_BIAS_MAX) if greatest else 0


def _column_weights(given: np.ndarray | None, cols: int) -> np.ndarray:
    """What an error in each column counts, the greatest of them 1. UserError when they are unusable."""
    if given is None:
        return np.ones(cols)
    given = np.asarray(given, dtype=np.float64)
    if given.shape != (cols,) or not np.isfinite(given).all() or (given < 0).any():
        raise UserError(f"channel weights must be {cols} finite numbers of zero or more, one for each column")
    greatest = given.max(initial=0)
    return given / greatest if greatest else np.ones(cols)


def encode(weights: np.ndarray, fmt: TrellisFormat, *, channel_weights: np.ndarray | None = None,
           threads: int | None = None, progress: Callable[[int, int], None] | None = None) -> TrellisMatrix:
    """Compress a matrix: for every row, the best codes and start under a scale that is searched.

    Parameters
    ----------
    weights : float array, (rows, columns)
        Rows are outputs. A row far below the greatest weight, whose scale FP16 rounds to zero, becomes zero.
    channel_weights : float array, (columns,), optional
        What an error in each column counts, zero or more: the search then minimises the sum of squares of
        ``channel_weights * error``.
    threads : int, optional
        Number of threads. Default: one for each processor that this process may use. The result does not depend on it.
    progress : callable, optional
        Called with (rows done, rows in all), in the caller's thread.

    Returns
    -------
    TrellisMatrix
        Of the shape of ``weights``.

    Raises
    ------
    UserError
        When a weight is NaN, infinite or beyond about 2**74, the array is not a float matrix, channel weights are
        unusable, or the kernel cannot be built.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or not np.issubdtype(weights.dtype, np.floating):
        raise UserError(f"only matrices of floats can be compressed, not {weights.dtype} of shape {weights.shape}: "
                        "convert it with astype(np.float32)")
    (rows, cols), bias = weights.shape, _bias(weights)
    search = _Rows(fmt, _column_weights(channel_weights, cols))
    step, paths = max(_TASK // max(cols, 1), 1), list[_Path]()
    pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))
    try:
        for found in pool.map(lambda start: search.several(np.ldexp(weights[start:start + step].astype(np.float64),
                                                                    -bias)), range(0, rows, step)):
            paths += found
            if progress:
                progress(len(paths), rows)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted search waits only for what threads are working on
    return TrellisMatrix(fmt, np.array([path.codes for path in paths], np.uint8).reshape(rows, cols),
                         np.array([path.start for path in paths], np.uint16),
                         np.array([path.scale for path in paths], np.float16), bias)
