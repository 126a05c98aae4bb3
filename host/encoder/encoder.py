"""The fast encoder: the true minimum over every seed, found by the C kernel in ``search.c``.

Modes. ``exact`` searches exponent and integer codes of every seed that can win, not by rounding; ``paper`` rounds as
:mod:`golden.encode` does and reaches exactly its errors. Both give the same format for the same decoder.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import frexp
from typing import Literal

import numpy as np

from golden.block import CompressedMatrix
from golden.projection import u_matrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat
from host.encoder.kernel import load
from host.errors import UserError

__all__ = ["Mode", "encode", "exponent_bias_for"]

Mode = Literal["exact", "paper"]

_CHUNK = 2048  # blocks handed to a thread at a time: some 50 ms, so that progress is smooth and Ctrl-C prompt
_BIAS_MIN = -64  # below it, golden.matvec's result factor is no normal float32 for some format


def exponent_bias_for(greatest: float) -> int:
    """The exponent bias for a tensor whose greatest magnitude is given (zero for an empty or all-zero one).

    It lets the largest block have a coefficient eight times its greatest weight without saturating, and leaves twelve
    octaves below for smaller blocks.
    """
    return max(frexp(greatest)[1] - EXP_MAX, _BIAS_MIN) if greatest else 0


@contextmanager
def _segment(kernel: ctypes.CDLL, fmt: BlockFormat, seed: int, mode: Mode,
             channels: np.ndarray) -> Iterator[ctypes.c_void_p]:
    """The kernel's tables for a run of the LFSR cycle that starts at ``seed`` and for a block's channel weights
    (float64, (c,), at most 1); freed on exit."""
    segment = ctypes.c_void_p(kernel.segment_new(ctypes.c_uint32(seed), channels.ctypes))
    if not segment:
        raise MemoryError("encoder tables")
    try:
        if mode == "paper":
            bad = np.empty(kernel.segment_bad_count(segment), dtype=np.uint32)
            kernel.segment_bad_seeds(segment, bad.ctypes)
            pinv = np.ascontiguousarray(np.linalg.pinv(channels[:, None] * u_matrix(bad, fmt)))
            if not kernel.segment_set_pinv(segment, pinv.ctypes):
                raise MemoryError("encoder tables")
        yield segment
    finally:
        kernel.segment_free(segment)


def _block_channels(channel_weights: np.ndarray, cols: int, fmt: BlockFormat) -> np.ndarray:
    """Channel weights by block column, each with 1 for its greatest: float64, (blocks, c). Padding weighs as much
    as the last column; where no channel weighs anything, all count alike."""
    values = np.asarray(channel_weights, dtype=np.float64)
    if values.shape != (cols,) or not np.isfinite(values).all() or (values < 0).any():
        raise UserError(f"channel weights must be {cols} finite numbers of zero or more, one for each column, not "
                        f"{channel_weights.dtype} of shape {values.shape}")
    blocks = np.pad(values, (0, -cols % fmt.c), mode="edge").reshape(-1, fmt.c)
    blocks[~blocks.any(axis=1)] = 1
    return blocks / blocks.max(axis=1, keepdims=True)


def encode(weights: np.ndarray, fmt: BlockFormat, mode: Mode = "exact", *,
           exponent_bias: int | Literal["auto"] = "auto", channel_weights: np.ndarray | None = None,
           threads: int | None = None,
           progress: Callable[[int, int], None] | None = None) -> CompressedMatrix:
    """Compress a matrix.

    Parameters
    ----------
    weights : float array, (rows, columns)
        Rows are outputs; the last block of a row is padded with zeros when ``columns`` is not a multiple of ``c``.
    exponent_bias : int or "auto"
        Power of two taken out of the whole matrix; 0 is the paper's format. Who compresses a tensor slice by slice
        passes ``exponent_bias_for(greatest magnitude of the tensor)``. Blocks below or beyond the exponent's range
        are slow, some 100 a second, for bounds say little about them; with "auto" there are hardly any.
    channel_weights : float array, (columns,), optional
        What an error in each column counts, zero or more, such as the root mean square of its activations: the sum of
        squares of ``channel_weights * error`` becomes the least. Takes two to three times as long, and much longer
        where most channels of a block weigh next to nothing.
    threads : int, optional
        Default: one for each processor that this process may use. The result does not depend on it.
    progress : callable, optional
        Called with (blocks done, blocks in all) about every 50 ms, from the caller's thread. For k above 16 the seeds
        are searched in segments, and every segment counts the blocks anew.

    Raises
    ------
    UserError
        When a weight is NaN or infinite, the array is not a float matrix, ``exact`` mode is asked of a format with
        more coefficients than weights, channel weights are unusable, or the kernel cannot be built.
    """
    if weights.ndim != 2 or not np.issubdtype(weights.dtype, np.floating):
        raise UserError(f"only matrices of floats can be compressed, not {weights.dtype} of shape {weights.shape}")
    if mode == "exact" and fmt.p > fmt.c:
        raise UserError(f"format {fmt.name} has more coefficients than weights: choose p <= c, or mode 'paper'")
    greatest = float(np.abs(weights).max(initial=0))
    if not np.isfinite(greatest):
        raise UserError("the weights contain NaN or infinity: mend or leave out the tensor")
    bias = exponent_bias_for(greatest) if exponent_bias == "auto" else exponent_bias

    rows, cols = weights.shape
    per_row = -(-cols // fmt.c)
    padding = per_row * fmt.c - cols
    flat = (np.pad(weights, ((0, 0), (0, padding))) if padding else np.ascontiguousarray(weights)).reshape(-1, fmt.c)
    channels = np.ones((1, fmt.c))
    if channel_weights is not None:  # blocks column by column: those of one share their tables
        channels = _block_channels(channel_weights, cols, fmt)
        flat = np.ascontiguousarray(flat.reshape(rows, per_row, fmt.c).swapaxes(0, 1)).reshape(-1, fmt.c)
    each = len(flat) // len(channels)  # blocks that share tables
    error = np.full(len(flat), np.inf)
    seeds = np.full(len(flat), fmt.seeds, dtype=np.uint32)
    exponents = np.full(len(flat), EXP_MIN, dtype=np.int8)
    codes = np.zeros((len(flat), fmt.p), dtype=np.int8)

    kernel = load(fmt)
    segments = -(-fmt.seeds // kernel.segment_positions())
    done, total = 0, segments * len(flat)

    def search(segment: ctypes.c_void_p, part: slice, own: np.ndarray) -> int:
        scaled = np.ldexp(flat[part] * own, -bias)
        kernel.segment_search(segment, scaled.ctypes, ctypes.c_long(len(scaled)), int(mode == "exact"),
                              error[part].ctypes, seeds[part].ctypes, exponents[part].ctypes, codes[part].ctypes)
        return len(scaled)

    def search_column(column: int) -> int:
        seed, part = 1, slice(column * each, (column + 1) * each)
        for _ in range(segments):
            with _segment(kernel, fmt, seed, mode, channels[column]) as segment:
                search(segment, part, channels[column])
                seed = kernel.segment_next(segment)
        return segments * each

    def counts() -> Iterator[int]:
        if channel_weights is not None:
            yield from pool.map(search_column, range(len(channels)))
            return
        seed = 1
        for _ in range(segments):
            with _segment(kernel, fmt, seed, mode, channels[0]) as segment:
                yield from pool.map(lambda start, at=segment: search(at, slice(start, start + _CHUNK), channels[0]),
                                    range(0, each, _CHUNK))
                seed = kernel.segment_next(segment)

    pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))
    try:
        for count in counts():
            done += count
            if progress:
                progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)

    def by_row(array: np.ndarray) -> np.ndarray:
        if channel_weights is None:
            return array.reshape(rows, per_row, *array.shape[1:])
        return np.ascontiguousarray(array.reshape(per_row, rows, *array.shape[1:]).swapaxes(0, 1))

    return CompressedMatrix(fmt, (rows, cols), by_row(seeds), by_row(exponents), by_row(codes), bias)
