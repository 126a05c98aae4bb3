"""The fast encoder: the true minimum over every seed, found by the C kernel in ``search.c``.

The mode ``exact`` searches the exponent and the integer coefficients of every seed that can win. The modes ``paper``
and ``printed`` search as the paper does: they round the least-squares coefficients of each seed, as
:mod:`golden.encode` does, and reach exactly its errors. ``printed`` takes the exponent by the rule that the paper
prints, which uses 5 of the 16 codes; ``paper`` takes it lower by two (for codes of 4 bits), which is ours and not the
authors'. All modes give the same format for the same decoder.

Where each row has a scale in the place of exponents, the codes of its blocks are searched in mode ``exact`` under a
scale that is searched too (:mod:`host.encoder.row_codes`).
"""

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import frexp, ldexp
from typing import Literal

import numpy as np

from golden.block import CompressedMatrix
from golden.spec import EXP_MAX, BlockFormat
from host.encoder.blocks import Blocks, Mode, Tables, segments
from host.encoder.cells import cells_for, plain_tables
from host.encoder.metric import channel_metrics, plain_metric
from host.encoder.row_codes import encode_rows, row_bias
from host.errors import UserError, WeightsError

__all__ = ["Mode", "bias_of", "encode", "encode_fully", "exponent_bias_for", "require_codes", "require_exponents",
           "say_if_lost", "searchable"]

_CHUNK = 2048  # blocks handed to a thread at a time: some 50 ms, so that progress is smooth and Ctrl-C is prompt
_BIAS_BEYOND = 1000
_FAR_BEYOND = 1 << 20  # times the most that a block holds; errors of codes still differ by a thousand roundings there
_BIAS_MAX = 64  # with a higher bias, results of ordinary activations would be beyond float32
_BIAS_MIN = -64  # with a lower bias, golden.matvec's result factor would be no normal float32 for some format


def exponent_bias_for(greatest: float) -> int:
    """Return the exponent bias for a tensor whose greatest magnitude is given; 0 for an empty or all-zero tensor.

    With this bias the largest block can have a coefficient of eight times its greatest weight before the exponent
    saturates, and twelve octaves below are left for smaller blocks.
    """
    return min(max(frexp(greatest)[1] - EXP_MAX, _BIAS_MIN), _BIAS_MAX) if greatest else 0


def require_codes(fmt: BlockFormat, mode: Mode) -> None:
    """Refuse a format whose codes the mode cannot search.

    Raises
    ------
    UserError
        When ``exact`` mode is asked of a format with more coefficients than weights, or another one of a format without
        exponents.
    """
    if mode != "exact" and not fmt.exp_bits:
        raise UserError(f"format {fmt.name} has no exponents, which mode {mode!r} rounds to: choose mode 'exact'")
    if mode == "exact" and fmt.p > fmt.c:
        raise UserError(f"format {fmt.name} has more coefficients than weights: choose p <= c"
                        + ", or mode 'paper'" * bool(fmt.exp_bits))


def require_exponents(fmt: BlockFormat, what: str) -> None:
    """Refuse a format without exponents, which ``what`` cannot do. UserError."""
    if not fmt.exp_bits:
        raise UserError(f"{what} takes formats with exponents, which {fmt.name} has not: use seedlm4, seedlm3, "
                        "seedlm4x, or C,P,K such as 8,3,16")


def bias_of(greatest: float, fmt: BlockFormat, exponent_bias: int | Literal["auto"]) -> int:
    """Return the exponent bias for weights whose greatest magnitude is given, which "auto" chooses.

    Raises
    ------
    UserError
        When a weight is NaN or infinite, or beyond what a block can hold with the greatest bias, or far beyond it with
        this one. A search for the least of errors that are all the whole weight, up to the rounding of float64, would
        take minutes a block.
    """
    if not np.isfinite(greatest):
        raise WeightsError("the weights contain NaN or infinity: mend or leave out the tensor")
    highest = _BIAS_MAX if fmt.exp_bits else _BIAS_MAX - fmt.k + 1
    bias = exponent_bias if exponent_bias != "auto" else (
        exponent_bias_for(greatest) if fmt.exp_bits else row_bias(greatest, fmt, highest))
    if abs(bias) > _BIAS_BEYOND:
        raise UserError(f"an exponent bias of {bias} is beyond the exponents of float64: let it be chosen")
    most = ldexp(fmt.p << (fmt.coef_bits - 1), fmt.exp_max + bias)  # no number of the matrix U is beyond 1
    if not fmt.exp_bits:
        most *= fmt.unit * float(np.finfo(np.float16).max)
    if greatest > most * (1 if bias >= highest or not fmt.exp_bits else _FAR_BEYOND):
        raise WeightsError(f"a weight of {greatest:.3g} is far beyond {most:.3g}, the most that {fmt.name} holds with "
                           f"an exponent bias of {bias}: "
                           + ("leave out the tensor, or scale it" if bias >= highest else "let the bias be chosen"))
    return bias


def searchable(weights: np.ndarray, fmt: BlockFormat, exponent_bias: int | Literal["auto"]) -> tuple[np.ndarray, int]:
    """Return weights as a matrix that the search takes, and the exponent bias, which "auto" chooses.

    Floats wider than those of C's ``double`` are rounded to them.

    Raises
    ------
    UserError
        When the weights are no matrix of floats, and as :func:`bias_of`.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or not np.issubdtype(weights.dtype, np.floating):
        raise UserError(f"only matrices of floats can be compressed, not {weights.dtype} of shape {weights.shape}: "
                        "convert it with astype(np.float32)")
    if weights.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            weights = weights.astype(np.float64)
    return weights, bias_of(float(np.abs(weights).max(initial=0)), fmt, exponent_bias)


def say_if_lost(weights: np.ndarray, matrix: CompressedMatrix) -> CompressedMatrix:
    """Return a compressed matrix. A warning says when all of its weights are zero, though some were not before."""
    if not matrix.coefs.any() and weights.any():
        warnings.warn(f"all weights are zero now: the greatest, {float(np.abs(weights).max()):.3g}, is too small for "
                      f"{matrix.fmt.name} with an exponent bias of {matrix.exponent_bias}", stacklevel=3)
    return matrix


class _Search:
    """The blocks of one matrix, and the best code of each that has been found so far.

    The kernel has tables for a segment of the LFSR cycle and for a metric. Blocks that share their metric are
    neighbours here, so that they share the tables: without channel weights these are all blocks, row by row; with them,
    the blocks of one block column.
    """

    def __init__(self, weights: np.ndarray, fmt: BlockFormat, mode: Mode, bias: int,
                 channel_weights: np.ndarray | None, pruned: bool) -> None:
        self.fmt, self.mode, self.bias, self.shape, self.pruned = fmt, mode, bias, weights.shape, pruned
        rows, cols = weights.shape
        self.per_row = -(-cols // fmt.c)
        padding = self.per_row * fmt.c - cols
        padded = np.pad(weights, ((0, 0), (0, padding))) if padding else np.ascontiguousarray(weights)
        self.by_column = channel_weights is not None
        if channel_weights is None:
            self.weights = padded.reshape(-1, fmt.c)
            self.metrics = [plain_metric(fmt)]
        else:
            by_column = padded.reshape(rows, self.per_row, fmt.c).swapaxes(0, 1)
            self.weights = np.ascontiguousarray(by_column).reshape(-1, fmt.c)
            self.metrics = channel_metrics(channel_weights, cols, fmt)
        self.sharing = len(self.weights) // len(self.metrics)  # blocks that share tables
        self.best = Blocks(len(self.weights), fmt)
        self.segments = segments(fmt)
        self.total = self.segments * len(self.weights)

    def run(self, pool: ThreadPoolExecutor) -> Iterator[int]:
        """Search all seeds on the threads of ``pool``, and yield how many blocks each piece of work had."""
        if self.by_column:
            # The tables of a block column serve only its few blocks, so each thread makes its own.
            yield from pool.map(self._search_column, range(len(self.metrics)))
            return
        cells = cells_for(self.fmt, self.mode, len(self.weights)) if self.pruned else None
        if cells:
            yield from cells.search(self.weights, 2.0 ** -self.bias, self.best, pool)
            return
        seed = 1
        for _ in range(self.segments):
            tables = (plain_tables(self.fmt, self.mode) if self.segments == 1 else
                      Tables(self.fmt, seed, self.mode, self.metrics[0]))
            yield from pool.map(lambda start, tables=tables: self._improve(tables, slice(start, start + _CHUNK)),
                                range(0, len(self.weights), _CHUNK))
            seed = tables.next_seed

    def _search_column(self, column: int) -> int:
        """Search all seeds for the blocks of one block column."""
        seed, part = 1, slice(column * self.sharing, (column + 1) * self.sharing)
        for _ in range(self.segments):
            tables = Tables(self.fmt, seed, self.mode, self.metrics[column])
            self._improve(tables, part)
            seed = tables.next_seed
        return self.segments * self.sharing

    def _improve(self, tables: Tables, part: slice) -> int:
        """Improve on the best codes of some blocks with the seeds of a segment; return the number of blocks."""
        weights = np.ldexp(self.weights[part].astype(np.float64), -self.bias)
        self.best.improve(tables, weights, part)
        return len(weights)

    def codes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best seeds, exponents and coefficients, in the order of the matrix."""
        rows = self.shape[0]

        def by_row(values: np.ndarray) -> np.ndarray:
            if not self.by_column:
                return values.reshape(rows, self.per_row, *values.shape[1:])
            return np.ascontiguousarray(values.reshape(self.per_row, rows, *values.shape[1:]).swapaxes(0, 1))

        return by_row(self.best.seeds), by_row(self.best.exponents), by_row(self.best.codes)


def encode(weights: np.ndarray, fmt: BlockFormat, mode: Mode = "exact", *,
           exponent_bias: int | Literal["auto"] = "auto", channel_weights: np.ndarray | None = None,
           threads: int | None = None,
           progress: Callable[[int, int], None] | None = None) -> CompressedMatrix:
    """Compress a matrix: for every block, the seed, exponent and coefficients of least squared error.

    Parameters
    ----------
    weights : float array, (rows, columns)
        Rows are outputs; the last block of a row is padded with zeros when ``columns`` is not a multiple of ``c``.
    exponent_bias : int or "auto"
        Power of two taken out of the whole matrix; 0 is the paper's format. A caller that compresses a tensor slice
        by slice passes ``exponent_bias_for(greatest magnitude of the tensor)``. Blocks below or beyond the exponent's
        range are slow, some 100 a second, because bounds say little about them; with "auto" there are hardly any.
        Where rows have scales, it keeps these within FP16; rows whose scales it has no normal numbers for become zero.
    channel_weights : float array, (columns,), optional
        What an error in each column counts, zero or more, such as the root mean square of its activations: the search
        then minimises the sum of squares of ``channel_weights * error``. It takes two to three times as long, and much
        longer where most channels of a block weigh next to nothing.
    threads : int, optional
        Number of threads. Default: one for each processor that this process may use. The result does not depend on it.
    progress : callable, optional
        Called with (blocks done, blocks in all) about every 50 ms, in the caller's thread. For k above 16 the seeds are
        searched in several segments, and each segment counts all blocks once.

    Returns
    -------
    CompressedMatrix
        Of the shape of ``weights``.

    Raises
    ------
    UserError
        When a weight is NaN, infinite or beyond what the format can hold with the exponent bias, the array is not a
        float matrix, ``exact`` mode is asked of a format with more coefficients than weights, channel weights are
        unusable, or the kernel cannot be built.
    UserWarning
        As a warning, when no weight is large enough for the format, so that all become zero.
    """
    return _encode(weights, fmt, mode, exponent_bias, channel_weights, threads, progress, pruned=True)


def encode_fully(weights: np.ndarray, fmt: BlockFormat, mode: Mode = "exact", *,
                 threads: int | None = None) -> CompressedMatrix:
    """Do as :func:`encode`, by the search over all seeds alone: what the search by cells is measured against."""
    return _encode(weights, fmt, mode, "auto", None, threads, None, pruned=False)


def _encode(weights: np.ndarray, fmt: BlockFormat, mode: Mode, exponent_bias: int | Literal["auto"],
            channel_weights: np.ndarray | None, threads: int | None, progress: Callable[[int, int], None] | None,
            pruned: bool) -> CompressedMatrix:
    """Do as :func:`encode`, by cells where they are worth it if ``pruned`` says so."""
    weights, bias = searchable(weights, fmt, exponent_bias)
    require_codes(fmt, mode)
    pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))

    def codes(part: np.ndarray, bias: int,
              told: Callable[[int, int], None] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        search, done = _Search(part, fmt, mode, bias, channel_weights, pruned), 0
        for count in search.run(pool):
            done += count
            if told:
                told(done, search.total)
        return search.codes()

    try:
        if fmt.exp_bits:
            matrix = CompressedMatrix(fmt, weights.shape, *codes(weights, bias, progress), bias)
        else:
            matrix = encode_rows(weights, fmt, bias, channel_weights, lambda rows, told: codes(rows, 0, told), progress)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted search waits only for what threads are working on
    return say_if_lost(weights, matrix)
