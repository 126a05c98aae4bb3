"""SeedLM's encoder with error feedback: it minimises the error of a matrix's products, not that of its weights.

Matrices that read the same input share the tables of the kernel, which are made ahead of the search. The format and its
decoder are those of every other mode.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np

from golden.block import CompressedMatrix
from golden.spec import BlockFormat
from host.encoder.blocks import Blocks, Mode, Tables, segments
from host.encoder.encoder import require_codes, require_exponents, say_if_lost, searchable
from host.encoder.metric import kernel_metric
from host.feedback.columns import feed_back
from host.feedback.factor import Factor
from host.packing import decode

__all__ = ["encode_feedback"]

_CHUNK = 128  # rows handed to a thread at a time: some milliseconds
_AHEAD = 2  # tables made ahead for each thread; each takes a few megabytes


class _Seeds:
    """SeedLM's :class:`~host.feedback.columns.BlockCode` of ``rows`` rows, whose blocks have the metric of the factor;
    weights are divided by two to the power of their matrix's exponent bias."""

    def __init__(self, fmt: BlockFormat, factor: Factor, rows: int, mode: Mode, pool: ThreadPoolExecutor,
                 threads: int) -> None:
        self.fmt, self.factor, self.mode = fmt, factor, mode
        self.pool, self.ahead = pool, _AHEAD * threads
        self.coming: deque[Future[list[Tables]]] = deque()
        steps = factor.block_columns
        self.seeds = np.empty((rows, steps), np.uint32)
        self.exponents = np.empty((rows, steps), np.int8)
        self.codes = np.empty((rows, steps, fmt.p), np.int8)

    def _tables(self, step: int) -> list[Tables]:
        """Make the tables of a step, one for each segment of the cycle."""
        metric, seed, made = kernel_metric(self.factor.own(step).T), 1, list[Tables]()
        for _ in range(segments(self.fmt)):
            made.append(Tables(self.fmt, seed, self.mode, metric))
            seed = made[-1].next_seed
        return made

    def encode(self, step: int, target: np.ndarray) -> np.ndarray:
        """Encode a block column of all rows; see :class:`~host.feedback.columns.BlockCode`."""
        while len(self.coming) < self.ahead and step + len(self.coming) < self.factor.block_columns:
            self.coming.append(self.pool.submit(self._tables, step + len(self.coming)))
        best = Blocks(len(target), self.fmt)
        for part in self.coming.popleft().result():
            list(self.pool.map(lambda start, part=part: best.improve(
                part, target[start:start + _CHUNK], slice(start, start + _CHUNK)), range(0, len(target), _CHUNK)))
        self.seeds[:, step], self.exponents[:, step], self.codes[:, step] = best.seeds, best.exponents, best.codes
        return decode.weights(CompressedMatrix(self.fmt, target.shape, best.seeds[:, None], best.exponents[:, None],
                                               best.codes[:, None], 0))


def encode_feedback(weights: Sequence[np.ndarray], fmt: BlockFormat, factor: Factor, mode: Mode = "exact", *,
                    exponent_biases: Sequence[int | Literal["auto"]] | None = None, threads: int | None = None,
                    progress: Callable[[int, int], None] | None = None) -> list[CompressedMatrix]:
    """Compress matrices that read the same input: block column by block column, each block by the code of least error
    in its metric.

    Rows do not depend on each other, so a matrix that is cut into slices of rows gives the same codes.

    Parameters
    ----------
    weights : sequence of float arrays, (rows, columns)
        The matrices, all with as many columns as the factor's moment.
    factor : Factor
        Of blocks as wide as those of the format.
    exponent_biases : sequence of int or "auto", optional
        One for each matrix, as for :func:`host.encoder.encoder.encode`. Default: "auto" for all.
    threads, progress
        As for :func:`host.encoder.encoder.encode`. Progress counts the blocks of all matrices.

    Raises
    ------
    UserError
        As :func:`host.encoder.encoder.encode`, and when the number of columns is not the factor's.
    """
    require_exponents(fmt, "error feedback")
    require_codes(fmt, mode)
    asked: Sequence[int | Literal["auto"]] = exponent_biases or ["auto"] * len(weights)
    ready = [searchable(matrix, fmt, bias) for matrix, bias in zip(weights, asked, strict=True)]
    count = threads or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(count)
    try:
        rows = np.concatenate([factor.arranged(np.ldexp(matrix.astype(np.float64), -bias)) for matrix, bias in ready])
        work = _Seeds(fmt, factor, len(rows), mode, pool, count)
        feed_back(rows, factor, work, progress)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted search waits only for what threads are working on
    back, first, found = np.argsort(factor.order), 0, []
    for matrix, bias in ready:
        own = slice(first, first + len(matrix))
        seeds, exponents, codes = (np.ascontiguousarray(values[own][:, back])
                                   for values in (work.seeds, work.exponents, work.codes))
        found.append(say_if_lost(matrix, CompressedMatrix(fmt, matrix.shape, seeds, exponents, codes, bias)))
        first += len(matrix)
    return found
