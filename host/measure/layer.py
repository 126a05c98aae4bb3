"""The main job: matrices through the simulated engine in each format, one by one and as a chain, checked against golden
and compared."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from golden.int4 import quantise
from golden.product import Weights, product, restored
from golden.spec import ACT_BITS, BlockFormat, GroupFormat, parse_format
from host.checkpoint.checkpoint import open_checkpoint
from host.device.arena import Loaded, memory_needed
from host.device.driver import Driver, Product, check_shape, mean
from host.encoder.cache import compressed
from host.errors import UserError
from host.packing.image import StoredMatrix
from host.results import Column, Row
from hw.config import EngineConfig
from sim.device.cocotb_device import SimulatedDevice, open_device
from sim.dram.presets import Dram

__all__ = ["COLUMNS", "PAPER_COLUMNS", "SIGMA", "Job", "Matrix", "gaussian_matrices", "layer_matrices", "prepared",
           "products_over_phases", "simulate"]

COLUMNS: tuple[Column, ...] = (
    ("matrix", "matrix", ""), ("rows", "rows", "d"), ("cols", "cols", "d"), ("format", "format", ""),
    ("bits_per_weight", "bits", ".3f"), ("relative_error", "error", ".4f"), ("cycles", "cycles", ",d"),
    ("beats", "beats", ",d"), ("starved", "waiting", ",d"), ("refresh", "refresh", ",d"),
    ("stalled", "stalled", ",d"), ("drain", "drain", ",d"),
    ("speedup", "speed-up", ".3f"), ("limit_fraction", "of limit", ".1%"), ("bit_exact", "exact", ""),
)
PAPER_COLUMNS = (*COLUMNS[:-1], ("published_cycles", "paper cycles", ",d"),
                 ("published_speedup", "paper speed-up", ".2f"), COLUMNS[-1])
"""The same beside what the paper published."""
_PHASES = 16
"""A run shorter than this many refresh intervals is repeated so often, from as many points of the interval, and its
cycles averaged: whether a refresh falls into it would otherwise be luck."""
SIGMA = 0.02
"""Standard deviation of random weights, as in the paper's experiments on Gaussian matrices."""
_INPUTS = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
"""Matrices of a layer that are multiplied with the vector of another."""


@cache
def _vector(name: str, cols: int) -> np.ndarray:
    """Standard normal float16, (columns,), the same for the same name and width."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), cols])
    return np.asarray(rng.standard_normal(cols), dtype=np.float16)


@dataclass(frozen=True)
class Matrix:
    """A named weight matrix: float32, (rows, columns); ``stored`` is its compressed form, if it has one."""

    name: str
    weights: np.ndarray
    stored: StoredMatrix | None = None

    @property
    def activations(self) -> np.ndarray:
        """Random float16, (columns,); one array for the matrices of a layer that have the same input."""
        return _vector(_INPUTS.get(self.name, self.name), self.weights.shape[1])


@dataclass(frozen=True)
class Job:
    """How to run: formats by name (``fp16`` first), memory preset, bus width in bits, simulator and, for the formats
    that have block-floating-point activations, bits of one."""

    formats: tuple[str, ...]
    memory: str
    bus_bits: int
    simulator: str
    act_bits: int = ACT_BITS


def layer_matrices(model: str, layer: int, rows: int | None = None) -> list[Matrix]:
    """The seven matrices of a layer of a checkpoint; of each, the first ``rows`` when given."""
    checkpoint = open_checkpoint(model)
    return [Matrix(short, checkpoint.matrix(name, slice(rows)), checkpoint.stored(name, slice(rows)))
            for short, name in checkpoint.layer_matrices(layer)]


def gaussian_matrices(sizes: tuple[int, ...]) -> list[Matrix]:
    """Square matrices of N(0, 0.02**2), always the same."""
    return [Matrix(f"{size}x{size}", np.random.default_rng(size).normal(0, SIGMA, (size, size)).astype(np.float32))
            for size in sizes]


def prepared(config: EngineConfig, matrix: Matrix, progress: Callable[[int, int], None]) -> Weights:
    """The matrix in the format of the engine."""
    fmt = config.fmt
    if matrix.stored and matrix.stored.fmt == fmt:
        return matrix.stored
    if isinstance(fmt, BlockFormat):
        return compressed(matrix.weights, fmt, progress)
    greatest = float(np.abs(matrix.weights).max()) / (fmt.code_max if isinstance(fmt, GroupFormat) else 1)
    with np.errstate(over="ignore"):
        if np.isinf(np.float16(greatest)):
            raise UserError(f"{matrix.name} has weights beyond the range of {config.name}, "
                            f"{np.abs(matrix.weights).max():g}: scale the tensor, or leave {config.name} out")
    return quantise(matrix.weights, fmt) if isinstance(fmt, GroupFormat) else matrix.weights.astype(np.float16)


def products_over_phases(device: SimulatedDevice, driver: Driver, loaded: Loaded) -> list[Product]:
    """One run, or :data:`_PHASES` when it is short and leaves no waveform, which would be huge."""
    device.align(0)
    products = [driver.run(loaded)]
    if products[0].counters.cycles < _PHASES * device.dram.refresh_interval and not device.waves:
        for phase in range(1, _PHASES):
            device.align(phase / _PHASES)
            products.append(driver.run(loaded))
    return products


def _timing(products: list[Product], expected: list[np.ndarray], job: Job, dram: Dram) -> Row:
    """What runs took, where their cycles went, and whether their results are golden's."""
    counters = [run.counters for run in products]
    cycles, average = [run.cycles for run in counters], mean(counters)
    moved = average.bytes_read + average.bytes_written
    return {
        "cycles": average.cycles, "beats": average.beats, "bytes": moved,
        **{name: getattr(average, name) for name in ("starved", "refresh", "stalled", "drain")},
        "speedup": None, "memory": job.memory,
        "limit_fraction": moved * 8 / job.bus_bits / (dram.sequential_limit * dram.word_rate(job.bus_bits)
                                                      * sum(cycles) / len(cycles)),
        "simulator": job.simulator,
        "bit_exact": all(np.array_equal(y.view(np.uint32), wanted.view(np.uint32))
                         for run in products for y, wanted in zip(run.results, expected, strict=True)),
        "source": "rtl", "runs": len(products), "cycles_min": min(cycles), "cycles_max": max(cycles),
    }


def _row(matrix: Matrix, name: str, weights: Weights, image_bytes: int) -> Row:
    """What is known of a matrix in a format before it runs."""
    rows, cols = matrix.weights.shape
    norm = float(np.linalg.norm(matrix.weights))
    error = float(np.linalg.norm(restored(weights) - matrix.weights)) / norm if norm else 0.0
    return {
        "matrix": matrix.name, "rows": rows, "cols": cols, "format": name,
        "bits_per_weight": 8 * image_bytes / (rows * cols),
        "relative_error": weights.error if isinstance(weights, StoredMatrix) else error,
    }


def _chain_row(rows: list[Row]) -> Row:
    """The same of all matrices together."""
    weights = [row["rows"] * row["cols"] for row in rows]
    bits = sum(row["bits_per_weight"] * count for row, count in zip(rows, weights, strict=True)) / sum(weights)
    return {"matrix": "layer", "rows": None, "cols": None, "format": rows[0]["format"], "bits_per_weight": bits,
            "relative_error": None}


def _measure(job: Job, name: str, matrices: list[Matrix], chain: bool, progress: Progress) -> Iterator[Row]:
    """Rows of all matrices in one format; with ``chain``, of one run through all of them last."""
    config = EngineConfig(parse_format(name), job.bus_bits, act_bits=job.act_bits)
    shapes: list[Any] = [matrix.weights.shape for matrix in matrices]
    for shape in shapes:
        check_shape(config, shape)
    task = progress.add_task(f"{name}: compress", total=None)
    ready = []
    for matrix in matrices:
        progress.update(task, description=f"{name}: compress {matrix.name}")
        ready.append(prepared(config, matrix, lambda done, total: progress.update(task, completed=done,
                                                                                     total=total)))
    progress.update(task, description=f"{name}: build the simulator", completed=0, total=None)
    parts = [shapes] if chain else [[shape] for shape in shapes]
    memory_bytes = max(memory_needed(config, part) for part in parts)
    with open_device(config, job.memory, memory_bytes, job.simulator) as device:
        driver, rows, expected = Driver(device, config), [], []
        for done, (matrix, weights) in enumerate(zip(matrices, ready, strict=True)):
            progress.update(task, description=f"{name}: simulate {matrix.name}", completed=done,
                            total=len(matrices) + chain)
            loaded = driver.load((weights, matrix.activations))
            expected.append(product(weights, matrix.activations, job.act_bits))
            rows.append(_row(matrix, name, weights, loaded.matrices[0].image_bytes))
            yield rows[-1] | _timing(products_over_phases(device, driver, loaded), expected[-1:], job, device.dram)
        if chain:
            progress.update(task, description=f"{name}: simulate all as a chain", completed=len(matrices))
            loaded = driver.load(*((weights, matrix.activations)
                                   for weights, matrix in zip(ready, matrices, strict=True)))
            yield _chain_row(rows) | _timing(products_over_phases(device, driver, loaded), expected, job, device.dram)
    if device.waves:
        progress.console.print(f"waveform: {device.waves}")
    progress.remove_task(task)


def simulate(job: Job, matrices: list[Matrix], chain: bool = True) -> list[Row]:
    """Run every matrix in every format; with ``chain``, all of them in one run too.

    Returns
    -------
    list of rows, matrix by matrix, formats in the job's order within each; the chain, as ``layer``, last
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    measured: dict[str, list[Row]] = {}
    with Progress(*columns, transient=True) as progress:
        for name in job.formats:
            measured[name] = list(_measure(job, name, matrices, chain, progress))
    ordered = [row for rows in zip(*measured.values(), strict=True) for row in rows]
    if "fp16" in measured:
        for name in job.formats:
            for row, baseline in zip(measured[name], measured["fp16"], strict=True):
                row["speedup"] = baseline["cycles"] / row["cycles"]
    return ordered
