"""The trellis code with error feedback: it minimises the error of a matrix's products, not that of its weights.

A block is some columns of a row. Within it, each column makes up for the errors before it on the very path that made
them; from block to block, all rows do so at once. The path of a block begins where that of the block before it has
ended, so that the stream of a row is one.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from golden.spec import TrellisFormat
from golden.trellis.matrix import TrellisMatrix
from host.feedback.columns import feed_back
from host.feedback.factor import Factor
from host.trellis.encoder import exponent_bias_for
from host.trellis.paths import FedKernel, KernelFinder
from host.trellis.scales import searched

__all__ = ["encode_trellis", "trellis_factor"]

_WIDTH = 128
"""Columns of a block. Where a block ends, its path knows nothing of what comes after: with 64, errors are some 5 %
greater, and the search takes three quarters of the time."""
_CHUNK = 64  # rows handed to a thread at a time: some 20 ms


def trellis_factor(moment: np.ndarray) -> Factor:
    """Return the factor of an input's second moment for the trellis code, whose blocks can have no other order than
    that of the stream. UserError as :class:`~host.feedback.factor.Factor`."""
    return Factor(moment, _WIDTH, ordered=False)


class _Streams:
    """The trellis code as a :class:`~host.feedback.columns.BlockCode`, of rows whose scales are known."""

    def __init__(self, fmt: TrellisFormat, factor: Factor, scales: np.ndarray, pool: ThreadPoolExecutor) -> None:
        self.fmt, self.factor, self.scales, self.pool = fmt, factor, scales, pool
        self.kernel = FedKernel(fmt)
        self.codes = np.empty((len(scales), factor.block_columns * factor.width), np.uint8)
        self.starts, self.ends = np.empty(len(scales), np.uint16), np.empty(len(scales), np.int32)

    def encode(self, step: int, target: np.ndarray) -> np.ndarray:
        """Encode a block of all rows; see :class:`~host.feedback.columns.BlockCode`."""
        own, found = self.factor.own(step), np.empty_like(target)
        upper = own / np.abs(own).max()
        columns = slice(step * self.factor.width, (step + 1) * self.factor.width)

        def work(start: int) -> None:
            part = slice(start, start + _CHUNK)
            scales = self.scales[part]
            codes, starts, self.ends[part] = self.kernel.paths(target[part], scales, upper,
                                                               self.ends[part] if step else None)
            if not step:
                self.starts[part] = starts
            self.codes[part, columns] = codes
            found[part] = TrellisMatrix(self.fmt, codes, starts.astype(np.uint16), scales.astype(np.float16)).weights()

        list(self.pool.map(work, range(0, len(target), _CHUNK)))
        return found


def encode_trellis(weights: Sequence[np.ndarray], fmt: TrellisFormat, factor: Factor, *, threads: int | None = None,
                   progress: Callable[[int, int], None] | None = None) -> list[TrellisMatrix]:
    """Compress matrices that read the same input, block column by block column.

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
        work = _Streams(fmt, factor, scales, pool)
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
