"""The encoder of the trellis code: for each row, a scale that is searched, and the path of least squared error under
it."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import frexp

import numpy as np

from golden.formats.trellis import TrellisFormat
from golden.trellis.matrix import TrellisMatrix
from host.errors import UserError, WeightsError
from host.trellis.paths import KernelFinder
from host.trellis.scales import searched

__all__ = ["encode", "exponent_bias_for", "searchable"]

_TASK = 1 << 16  # weights handed to a thread at a time: some 50 ms, so that progress is smooth and Ctrl-C is prompt
_GREATEST = 10  # the greatest weight is below 2**10, its bias taken out: rows 20 octaves below still have normal scales
_BIAS_MAX = 64  # with a bias beyond this, results of ordinary activations would be beyond float32


def exponent_bias_for(weights: np.ndarray) -> int:
    """Return the exponent bias for a matrix. UserError when a weight is not finite, or far beyond what a scale can
    hold."""
    greatest = float(np.abs(weights).max(initial=0))
    if not np.isfinite(greatest):
        raise WeightsError("the weights contain NaN or infinity: mend or leave out the tensor")
    bias = frexp(greatest)[1] - _GREATEST
    if bias > _BIAS_MAX:
        raise WeightsError(f"a weight of {greatest:.3g} is beyond what a trellis code holds: leave out the tensor, "
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


def searchable(weights: np.ndarray, channel_weights: np.ndarray | None) -> tuple[np.ndarray, int, np.ndarray]:
    """Return a matrix, its exponent bias, and what an error in each column counts. UserError as for :func:`encode`."""
    weights = np.asarray(weights)
    if weights.ndim != 2 or not np.issubdtype(weights.dtype, np.floating):
        raise UserError(f"only matrices of floats can be compressed, not {weights.dtype} of shape {weights.shape}: "
                        "convert it with astype(np.float32)")
    return weights, exponent_bias_for(weights), _column_weights(channel_weights, weights.shape[1])


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
    weights, bias, columns = searchable(weights, channel_weights)
    rows, cols = weights.shape
    finder, step = KernelFinder(fmt, columns), max(_TASK // max(cols, 1), 1)
    codes = np.empty((rows, cols), np.uint8)
    starts, scales = np.empty(rows, np.uint16), np.empty(rows, np.float16)

    def work(start: int) -> int:
        part = slice(start, start + step)
        scales[part], found = searched(finder, np.ldexp(weights[part].astype(np.float64), -bias))
        codes[part], starts[part] = found.codes, found.starts
        return min(start + step, rows)

    pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))
    try:
        for done in pool.map(work, range(0, rows, step)):
            if progress:
                progress(done, rows)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted search waits only for what threads are working on
    return TrellisMatrix(fmt, codes, starts, scales, bias)
