"""The speed of the encoder, beside a plain search in NumPy and beside the floating-point peak of the machine."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from golden.projection import u_matrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat
from host.encoder.encoder import Mode, encode
from host.encoder.kernel import build
from host.quality.quality import SIGMA
from host.tables.bench import EncoderRow

__all__ = ["bench_encode", "pass_operations", "peak"]

_ROW_BLOCKS = 64
_PEAK_ROUNDS = 1 << 24  # some tenths of a second


def peak() -> float:
    """Measure single-precision operations a second of all cores of this process, by a loop of multiply-adds."""
    library = build("peak", "peak.c", {})
    threads = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: library.peak_run(_PEAK_ROUNDS // 16), range(threads)))  # clocks rise
        start = time.perf_counter()
        list(pool.map(lambda _: library.peak_run(_PEAK_ROUNDS), range(threads)))
        seconds = time.perf_counter() - start
    return threads * _PEAK_ROUNDS * int(library.peak_operations()) / seconds


def pass_operations(fmt: BlockFormat) -> float:
    """Return the additions and multiplications that ``search.c`` spends on one block in its pass over all seeds.

    It handles two seeds at a time: two steps of the correlation, and the energies of ``p + 1`` columns. Table look-ups
    and exact evaluations are not counted.
    """
    tables = 1 if fmt.c <= 8 else (fmt.c + 5) // 6
    step = 4 + 2 * (tables - 1)
    coefficients = fmt.p * (fmt.p - 1) // 2 + 2 * fmt.p
    return fmt.seeds * (2 * step + 2 * (coefficients + fmt.p + 1)) / 2


def _numpy_search(weights: np.ndarray, fmt: BlockFormat) -> tuple[float, float]:
    """Search the way one writes it in NumPy, rounding as the mode ``paper``; return seconds and the squared error.

    Weights are of shape (blocks, c).
    """
    u = u_matrix(np.arange(1, fmt.seeds + 1), fmt)
    pinv = np.ascontiguousarray(np.linalg.pinv(u).transpose(1, 0, 2), dtype=np.float32)  # (p, seeds, c)
    columns = np.ascontiguousarray(u.transpose(2, 1, 0), dtype=np.float32)  # (p, c, seeds)
    squared, start = 0.0, time.perf_counter()
    for block in weights:
        t = pinv @ block
        step = np.exp2((np.floor(np.log2(np.abs(t).max(axis=0))) - (fmt.coef_bits - 2)).clip(EXP_MIN, EXP_MAX))
        codes = np.rint(t / step).clip(fmt.coef_min, fmt.coef_max)
        left = block[:, None] - np.einsum("pcs,ps->cs", columns, codes * step)
        squared += float(np.square(left).sum(axis=0).min())
    return time.perf_counter() - start, squared


def bench_encode(formats: list[BlockFormat], modes: list[Mode], blocks: int,
                 numpy_blocks: int) -> tuple[float, list[EncoderRow]]:
    """Measure every format in every mode on weights of N(0, SIGMA**2).

    Parameters
    ----------
    blocks, numpy_blocks : int
        Blocks for the encoder, rounded up to whole rows, and for the NumPy search.

    Returns
    -------
    (float, list of EncoderRow)
        The peak in operations a second, and the measurements.
    """
    greatest, rows = peak(), []
    for fmt in formats:
        weights = np.random.default_rng(0).normal(0, SIGMA, (-(-blocks // _ROW_BLOCKS), _ROW_BLOCKS * fmt.c))
        weights = weights.astype(np.float32)
        few = weights.reshape(-1, fmt.c)[:numpy_blocks]
        numpy_seconds, numpy_squared = _numpy_search(few, fmt)
        for mode in modes:
            encode(weights[:1], fmt, mode)  # builds the kernel
            start = time.perf_counter()
            matrix = encode(weights, fmt, mode)
            speed = matrix.seeds.size / (time.perf_counter() - start)
            left = matrix.weights() - weights
            error = np.linalg.norm(left) / np.linalg.norm(weights)
            by_block = (np.linalg.norm(part.reshape(-1, fmt.c), axis=1) for part in (left, weights))
            rows.append(EncoderRow(
                format=fmt.name, mode=mode, blocks_per_s=speed, numpy_blocks_per_s=len(few) / numpy_seconds,
                numpy_ratio=speed * numpy_seconds / len(few), peak_fraction=speed * pass_operations(fmt) / greatest,
                relative_error=float(error), mean_block_error=float(np.divide(*by_block).mean()),
                numpy_relative_error=float((numpy_squared / np.square(few).sum()) ** 0.5)))
    return greatest, rows
