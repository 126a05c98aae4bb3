"""The encoder with error feedback: it minimises the error of a matrix's products, not that of its weights.

Block columns are encoded one after another, each with a target that makes up for the errors before it
(:mod:`host.feedback.factor`). Matrices that read the same input share the tables of the kernel, which are made ahead of
the search. The format and its decoder are those of every other mode.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np

from golden.block import CompressedMatrix
from host.encoder.blocks import Blocks, Mode, Tables, segments
from host.encoder.encoder import require_codes, say_if_lost, searchable
from host.errors import UserError
from host.feedback.factor import Factor
from host.packing import decode

__all__ = ["encode_feedback"]

_CHUNK = 128  # rows handed to a thread at a time: some milliseconds
_AHEAD = 2  # tables made ahead for each thread; each takes a few megabytes


class _Encoder:
    """The work of :func:`encode_feedback`.

    ``weights`` is (rows, columns padded to whole blocks) of all matrices, in the order of the factor's steps, and each
    row is divided by two to the power of its matrix's exponent bias. ``errors`` is of the same shape: W - W^ of the
    steps that are done.
    """

    def __init__(self, weights: np.ndarray, factor: Factor, mode: Mode, pool: ThreadPoolExecutor, threads: int) -> None:
        self.fmt, self.factor, self.mode = factor.fmt, factor, mode
        self.weights, self.errors = weights, np.zeros_like(weights)
        self.pool, self.ahead = pool, _AHEAD * threads
        rows, steps = len(weights), factor.block_columns
        self.seeds = np.empty((rows, steps), np.uint32)
        self.exponents = np.empty((rows, steps), np.int8)
        self.codes = np.empty((rows, steps, self.fmt.p), np.int8)

    def _tables(self, step: int) -> "list[Tables]":
        """Make the tables of a step, one for each segment of the cycle."""
        metric, seed, made = self.factor.metric(step), 1, []
        for _ in range(segments(self.fmt)):
            made.append(Tables(self.fmt, seed, self.mode, metric))
            seed = made[-1].next_seed
        return made

    def run(self, progress: Callable[[int, int], None] | None) -> None:
        """Encode all block columns."""
        steps, rows = self.factor.block_columns, len(self.weights)
        coming: deque[Future[list[Tables]]] = deque()
        for step in range(steps):
            while len(coming) < self.ahead and step + len(coming) < steps:
                coming.append(self.pool.submit(self._tables, step + len(coming)))
            self._encode(step, coming.popleft().result())
            if progress:
                progress((step + 1) * rows, steps * rows)

    def _encode(self, step: int, tables: "list[Tables]") -> None:
        """Encode one block column of all rows, and keep its errors."""
        c = self.fmt.c
        own = slice(step * c, (step + 1) * c)
        target = self.weights[:, own] + self.factor.carried(self.errors[:, :step * c], step)
        best = Blocks(len(target), self.fmt)
        for part in tables:
            list(self.pool.map(lambda start, part=part: best.improve(
                part, target[start:start + _CHUNK], slice(start, start + _CHUNK)), range(0, len(target), _CHUNK)))
        self.seeds[:, step], self.exponents[:, step], self.codes[:, step] = best.seeds, best.exponents, best.codes
        found = CompressedMatrix(self.fmt, target.shape, best.seeds[:, None], best.exponents[:, None],
                                 best.codes[:, None], 0)
        self.errors[:, own] = self.weights[:, own] - decode.weights(found)


def _prepared(matrices: Sequence[tuple[np.ndarray, int]], factor: Factor) -> np.ndarray:
    """Return the rows of all matrices, which come with their exponent biases, as :class:`_Encoder` takes them."""
    width = factor.block_columns * factor.fmt.c
    scaled = [np.ldexp(matrix.astype(np.float64), -bias) for matrix, bias in matrices]
    padded = np.pad(np.concatenate(scaled), ((0, 0), (0, width - factor.cols)))
    return np.ascontiguousarray(padded.reshape(len(padded), -1, factor.fmt.c)[:, factor.order]).reshape(len(padded), -1)


def encode_feedback(weights: Sequence[np.ndarray], factor: Factor, mode: Mode = "exact", *,
                    exponent_biases: Sequence[int | Literal["auto"]] | None = None, threads: int | None = None,
                    progress: Callable[[int, int], None] | None = None) -> list[CompressedMatrix]:
    """Compress matrices that read the same input: block column by block column, each block by the code of least error
    in its metric.

    Rows do not depend on each other, so a matrix that is cut into slices of rows gives the same codes.

    Parameters
    ----------
    weights : sequence of float arrays, (rows, columns)
        The matrices, all with as many columns as the factor's moment.
    exponent_biases : sequence of int or "auto", optional
        One for each matrix, as for :func:`host.encoder.encoder.encode`. Default: "auto" for all.
    threads, progress
        As for :func:`host.encoder.encoder.encode`. Progress counts the blocks of all matrices.

    Raises
    ------
    UserError
        As :func:`host.encoder.encoder.encode`, and when the number of columns is not the factor's.
    """
    fmt = factor.fmt
    require_codes(fmt, mode)
    asked: Sequence[int | Literal["auto"]] = exponent_biases or ["auto"] * len(weights)
    ready = [searchable(matrix, fmt, bias) for matrix, bias in zip(weights, asked, strict=True)]
    for matrix, _ in ready:
        if matrix.shape[1] != factor.cols:
            raise UserError(f"a matrix of {matrix.shape[1]} columns cannot have an input of {factor.cols} numbers: "
                            "give statistics of the same model")
    count = threads or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(count)
    try:
        work = _Encoder(_prepared(ready, factor), factor, mode, pool, count)
        work.run(progress)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted search waits only for what threads are working on
    back, first, found = np.argsort(factor.order), 0, []
    for matrix, bias in ready:
        rows = slice(first, first + len(matrix))
        seeds, exponents, codes = (np.ascontiguousarray(values[rows][:, back])
                                   for values in (work.seeds, work.exponents, work.codes))
        found.append(say_if_lost(matrix, CompressedMatrix(fmt, matrix.shape, seeds, exponents, codes, bias)))
        first += len(matrix)
    return found
