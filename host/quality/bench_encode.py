"""The speed of the encoder, beside its search over all seeds, a plain one in NumPy, and the machine's peak."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from golden.formats.trellis import TRELLIS_FORMATS
from golden.projection import u_matrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat
from host.encoder.cells import Cells, cells_for
from host.encoder.encoder import Mode, encode, encode_fully
from host.encoder.kernel import build
from host.feedback.factor import Factor
from host.feedback.feedback import encode_feedback
from host.quality.quality import SIGMA
from host.tables.bench import EncoderRow
from host.trellis.encoder import encode as encode_trellis

__all__ = ["bench_encode", "pass_operations", "peak"]

Result = TypeVar("Result")
_ROW_BLOCKS = 64
_METRIC_ROWS = 512  # of the searches that look at all seeds whatever the matrix is
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


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds that work takes, and what comes out."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def _relative(restored: np.ndarray, weights: np.ndarray) -> float:
    return float(np.linalg.norm(restored - weights) / np.linalg.norm(weights))


def _block_errors(restored: np.ndarray, weights: np.ndarray, fmt: BlockFormat) -> np.ndarray:
    """Squared error of every block of rows of whole blocks."""
    return np.square(restored - weights).reshape(-1, fmt.c).sum(axis=1)


def _tables(fmt: BlockFormat, blocks: int) -> tuple[float | None, float | None]:
    """Seconds and megabytes of the tables of a format, made anew; None where so many blocks are searched without."""
    if not cells_for(fmt, "exact", blocks):
        return None, None
    with TemporaryDirectory() as folder:
        seconds, cells = _timed(partial(Cells, fmt, "exact", Path(folder)))
        return seconds, sum(file.stat().st_size for file in cells.folder.iterdir()) / 1e6


def _with_metrics(fmt: BlockFormat, weights: np.ndarray) -> list[EncoderRow]:
    """Measure the search in other metrics than the plain squared error, which looks at all seeds."""
    rng = np.random.default_rng(1)
    channels = np.exp(rng.normal(0, 0.5, weights.shape[1]))
    inputs = rng.normal(0, 1, (2 * len(channels), len(channels))) * channels
    factor = Factor(inputs.T @ inputs, fmt.c)
    searches = {"exact, by channel": lambda: encode(weights, fmt, channel_weights=channels),
                "exact, with feedback": lambda: encode_feedback([weights], fmt, factor)[0]}
    measured = {name: _timed(search) for name, search in searches.items()}
    return [EncoderRow(format=fmt.name, mode=name, blocks_per_s=weights.size / fmt.c / seconds,
                       relative_error=_relative(matrix.weights(), weights))
            for name, (seconds, matrix) in measured.items()]


def _trellises(weights: np.ndarray) -> list[EncoderRow]:
    """Measure the encoders of the trellis formats."""
    rows = []
    for name, fmt in TRELLIS_FORMATS.items():
        encode_trellis(weights[:1], fmt)  # builds the kernel
        seconds, matrix = _timed(partial(encode_trellis, weights, fmt))
        rows.append(EncoderRow(format=name, mode="trellis", blocks_per_s=weights.size / 8 / seconds,
                               relative_error=_relative(matrix.weights(), weights)))
    return rows


def bench_encode(formats: list[BlockFormat], modes: list[Mode], blocks: int, full_blocks: int,
                 numpy_blocks: int) -> tuple[float, list[EncoderRow]]:
    """Measure every format in every mode on weights of N(0, SIGMA**2); with ``exact`` among them, other metrics, too.

    Parameters
    ----------
    blocks, full_blocks, numpy_blocks : int
        Blocks for the encoder, rounded up to whole rows; for its search over all seeds, whose errors are compared; and
        for the NumPy search.

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
        compared = weights[:-(-full_blocks // _ROW_BLOCKS)]
        numpy_seconds, numpy_squared = _numpy_search(few, fmt)
        table_seconds, table_mb = _tables(fmt, blocks)
        for mode in modes:
            encode(weights[:1], fmt, mode)  # builds the kernel
            cells_for(fmt, mode, blocks)
            seconds, matrix = _timed(partial(encode, weights, fmt, mode))
            full_seconds, full = _timed(partial(encode_fully, compared, fmt, mode))
            speed, full_speed = matrix.seeds.size / seconds, full.seeds.size / full_seconds
            restored = matrix.weights()
            errors, norms = _block_errors(restored, weights, fmt), _block_errors(np.zeros_like(weights), weights, fmt)
            differing = errors[:full.seeds.size] != _block_errors(full.weights(), compared, fmt)
            rows.append(EncoderRow(
                format=fmt.name, mode=mode, blocks_per_s=speed, full_blocks_per_s=full_speed,
                full_ratio=speed / full_speed, differing=int(differing.sum()), table_seconds=table_seconds,
                table_mb=table_mb, numpy_blocks_per_s=len(few) / numpy_seconds,
                numpy_ratio=speed * numpy_seconds / len(few),
                peak_fraction=full_speed * pass_operations(fmt) / greatest,
                relative_error=_relative(restored, weights), mean_block_error=float(np.sqrt(errors / norms).mean()),
                numpy_relative_error=float((numpy_squared / np.square(few).sum()) ** 0.5)))
        if "exact" in modes:
            rows += _with_metrics(fmt, weights[:_METRIC_ROWS])
    if "exact" in modes:
        rows += _trellises(weights[:_METRIC_ROWS])
    return greatest, rows
