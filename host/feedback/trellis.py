"""The trellis code with error feedback: it minimises the error of a matrix's products, not that of its weights.

A block is 64 columns of a row. Its path begins where that of the block before it has ended, so that the stream of a row
is one. Within a block, the plain squared error counts.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from golden.trellis.matrix import TrellisMatrix
from golden.trellis.spec import TrellisFormat
from host.feedback.columns import feed_back
from host.feedback.factor import Factor
from host.trellis.encoder import exponent_bias_for
from host.trellis.paths import KernelFinder
from host.trellis.scales import searched

__all__ = ["WIDTH", "encode_trellis", "trellis_factor"]

WIDTH = 64
"""Columns of a block."""
_DAMPING = 0.1
"""What is added to the diagonal of the second moment, relative to its mean."""
_CHUNK = 128  # rows handed to a thread at a time: some milliseconds


def trellis_factor(moment: np.ndarray) -> Factor:
    """Return the factor of an input's second moment for the trellis code, whose blocks can have no other order than
    that of the stream. UserError as :class:`~host.feedback.factor.Factor`."""
    return Factor(moment, WIDTH, _DAMPING, ordered=False)


class _Streams:
    """The trellis code as a :class:`~host.feedback.columns.BlockCode`, of rows whose scales are known."""

    def __init__(self, fmt: TrellisFormat, scales: np.ndarray, width: int, pool: ThreadPoolExecutor) -> None:
        self.fmt, self.scales, self.pool = fmt, scales, pool
        self.finder = KernelFinder(fmt, np.ones(WIDTH))
        self.codes = np.empty((len(scales), width), np.uint8)
        self.starts, self.ends = np.zeros(len(scales), np.uint16), np.zeros(len(scales), np.int32)

    def encode(self, step: int, target: np.ndarray) -> np.ndarray:
        """Encode a block of all rows; see :class:`~host.feedback.columns.BlockCode`."""
        found = np.empty_like(target)

        def work(start: int) -> None:
            part = slice(start, start + _CHUNK)
            scales = self.scales[part]
            best = self.finder.paths(target[part], scales, self.ends[part] if step else None)
            if not step:
                self.starts[part] = best.starts
            self.codes[part, step * WIDTH:(step + 1) * WIDTH], self.ends[part] = best.codes, best.ends
            found[part] = TrellisMatrix(self.fmt, best.codes, best.starts.astype(np.uint16),
                                        scales.astype(np.float16)).weights()

        list(self.pool.map(work, range(0, len(target), _CHUNK)))
        return found


def encode_trellis(weights: Sequence[np.ndarray], fmt: TrellisFormat, factor: Factor, *, threads: int | None = None,
                   progress: Callable[[int, int], None] | None = None) -> list[TrellisMatrix]:
    """Compress matrices that read the same input: block column by block column, each block by the path of least error.

    The scale of a row is the one that is best without feedback. Rows do not depend on each other.

    Parameters
    ----------
    weights : sequence of float arrays, (rows, columns)
        The matrices, all with as many columns as the factor's moment.
    factor : Factor
        As :func:`trellis_factor` makes it.
    threads, progress
        As for :func:`host.trellis.encoder.encode`. Progress counts the blocks of all matrices.

    Raises
    ------
    UserError
        When a weight is NaN, infinite or beyond about 2**74, the number of columns is not the factor's, or the kernel
        cannot be built.
    """
    biases = [exponent_bias_for(matrix) for matrix in weights]
    rows = np.concatenate([factor.arranged(np.ldexp(matrix.astype(np.float64), -bias))
                           for matrix, bias in zip(weights, biases, strict=True)])
    finder = KernelFinder(fmt, np.ones(factor.cols))
    pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))
    try:
        scales = np.concatenate([scale for scale, _ in pool.map(
            lambda start: searched(finder, rows[start:start + _CHUNK, :factor.cols]), range(0, len(rows), _CHUNK))])
        work = _Streams(fmt, scales, rows.shape[1], pool)
        feed_back(rows, factor, work, progress)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted search waits only for what threads are working on
    first, found = 0, []
    for matrix, bias in zip(weights, biases, strict=True):
        own = slice(first, first + len(matrix))
        found.append(TrellisMatrix(fmt, np.ascontiguousarray(work.codes[own, :factor.cols]), work.starts[own],
                                   scales[own].astype(np.float16), bias))
        first += len(matrix)
    return found
