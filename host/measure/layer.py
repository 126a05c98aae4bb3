"""The main job: matrices run through the simulated engine in each format, one by one and as a chain.

Every result is compared with golden, and the cycles of every format with FP16's.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from golden.integers import quantise
from golden.product import Weights, product, restored
from golden.spec import ACT_BITS, BlockFormat, GroupFormat, parse_format
from host.checkpoint.checkpoint import open_checkpoint
from host.device.arena import Loaded, memory_needed
from host.device.driver import Driver, Product, check_shape, mean
from host.encoder.cache import compressed
from host.errors import UserError
from host.measure.cycle_model import PHASES
from host.measure.models import INPUTS
from host.packing.image import StoredMatrix
from host.progress import Update, no_progress
from host.tables.causes import CAUSES
from host.tables.layer import LayerRow
from hw.config import EngineConfig
from sim.device.cocotb_device import SimulatedDevice, open_device
from sim.dram.dram import Dram

__all__ = ["SIGMA", "Job", "Matrix", "gaussian_matrices", "layer_matrices", "prepared",
           "products_over_phases", "simulate"]

SIGMA = 0.02
"""Standard deviation of random weights: about that of a language model's, and ours, not the
paper's. Cycles do not depend on it, nor do errors where the exponent bias is chosen."""


@cache
def _vector(name: str, cols: int) -> np.ndarray:
    """Return a standard normal vector, float16, (cols,): always the same one for a name and width."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), cols])
    return np.asarray(rng.standard_normal(cols), dtype=np.float16)


@dataclass(frozen=True)
class Matrix:
    """A weight matrix.

    Parameters
    ----------
    name : str
    weights : float32, (rows, columns)
    stored : StoredMatrix or None
        Its compressed form, where the checkpoint has one.
    """

    name: str
    weights: np.ndarray
    stored: StoredMatrix | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, cols = self.weights.shape
        return rows, cols

    @property
    def activations(self) -> np.ndarray:
        """Random vector, float16, (columns,); matrices of a layer with the same input have the same one."""
        return _vector(INPUTS.get(self.name, self.name), self.weights.shape[1])


@dataclass(frozen=True)
class Job:
    """How to run matrices.

    Parameters
    ----------
    formats : tuple of str
        Names of formats. Where ``fp16`` is one of them, the others have a speed-up over it.
    memory : str
        Memory preset.
    bus_bits : int
    simulator : str
        ``verilator`` or ``icarus``.
    act_bits : int
        Width of an activation in bits; FP16's engine has FP16 activations whatever this is.
    """

    formats: tuple[str, ...]
    memory: str
    bus_bits: int
    simulator: str
    act_bits: int = ACT_BITS


def layer_matrices(model: str, layer: int, rows: int | None = None) -> list[Matrix]:
    """Return the seven matrices of a decoder layer of a checkpoint; of each, the first ``rows`` rows when given.

    Raises
    ------
    UserError
        When the checkpoint cannot be read, or has no such layer.
    """
    checkpoint = open_checkpoint(model)
    return [Matrix(short, checkpoint.matrix(name, slice(rows)), checkpoint.stored(name, slice(rows)))
            for short, name in checkpoint.layer_matrices(layer)]


def gaussian_matrices(sizes: tuple[int, ...]) -> list[Matrix]:
    """Return square matrices of N(0, SIGMA**2), float32; those of a size are always the same."""
    return [Matrix(f"{size}x{size}", np.random.default_rng(size).normal(0, SIGMA, (size, size)).astype(np.float32))
            for size in sizes]


def prepared(config: EngineConfig, matrix: Matrix, progress: Callable[[int, int], None]) -> Weights:
    """Return a matrix in the format of the engine, as its best encoder makes it: SeedLM's codes are searched, and so
    are the scales of integers.

    Parameters
    ----------
    progress : callable
        Called with blocks done and blocks in all, when the matrix is compressed.

    Raises
    ------
    UserError
        When its weights are beyond the range of the format.
    """
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
    """Run what is loaded, and return what each run gave.

    There is one run, or :data:`PHASES` of them when it is short. A run with a waveform is not repeated, as the file
    would be huge.
    """
    device.align(0)
    products = [driver.run(loaded)]
    if products[0].counters.cycles < PHASES * device.dram.refresh_interval and not device.waves:
        for phase in range(1, PHASES):
            device.align(phase / PHASES)
            products.append(driver.run(loaded))
    return products


def _timing(products: list[Product], expected: list[np.ndarray], job: Job, dram: Dram) -> dict[str, Any]:
    """Return the fields of a row that come from runs: cycles, their causes, whether results are golden's."""
    counters = [run.counters for run in products]
    cycles, average = [run.cycles for run in counters], mean(counters)
    moved = average.bytes_read + average.bytes_written
    return {
        "cycles": average.cycles, "bytes": moved, **{cause.name: getattr(average, cause.name) for cause in CAUSES},
        "speedup": None, "memory": job.memory,
        "limit_fraction": moved * 8 / job.bus_bits / (dram.sequential_limit * dram.word_rate(job.bus_bits)
                                                      * sum(cycles) / len(cycles)),
        "simulator": job.simulator,
        "bit_exact": all(np.array_equal(y.view(np.uint32), wanted.view(np.uint32))
                         for run in products for y, wanted in zip(run.results, expected, strict=True)),
        "source": "rtl", "runs": len(products), "cycles_min": min(cycles), "cycles_max": max(cycles),
    }


def _relative_error(matrix: Matrix, weights: Weights) -> float:
    """Frobenius error of compressed weights, relative to the matrix."""
    if isinstance(weights, StoredMatrix):
        return weights.error
    norm = float(np.linalg.norm(matrix.weights))
    return float(np.linalg.norm(restored(weights) - matrix.weights)) / norm if norm else 0.0


def _measure(job: Job, name: str, matrices: list[Matrix], chain: bool, update: Update) -> Iterator[LayerRow]:
    """Yield the rows of all matrices in one format; with ``chain``, that of one run through all of them last."""
    config = EngineConfig(parse_format(name), job.bus_bits, act_bits=job.act_bits)
    shapes: list[tuple[int, int]] = [matrix.shape for matrix in matrices]
    for shape in shapes:
        check_shape(config, shape)
    ready = [prepared(config, matrix, partial(update, f"{name}: compress {matrix.name}")) for matrix in matrices]
    parts, total = [shapes] if chain else [[shape] for shape in shapes], len(matrices) + chain
    update(f"{name}: build the simulator", 0, total)
    with open_device(config, job.memory, max(memory_needed(config, part) for part in parts), job.simulator) as device:
        driver, expected, image_bits = Driver(device, config), [], 0
        for done, (matrix, weights) in enumerate(zip(matrices, ready, strict=True)):
            update(f"{name}: simulate {matrix.name}", done, total)
            loaded = driver.load((weights, matrix.activations))
            expected.append(product(weights, matrix.activations, job.act_bits))
            rows, cols = matrix.shape
            bits = 8 * loaded.matrices[0].image_bytes
            image_bits += bits
            yield LayerRow(matrix=matrix.name, rows=rows, cols=cols, format=name, bits_per_weight=bits / (rows * cols),
                           relative_error=_relative_error(matrix, weights),
                           **_timing(products_over_phases(device, driver, loaded), expected[-1:], job, device.dram))
        if chain:
            update(f"{name}: simulate all as a chain", len(matrices), total)
            loaded = driver.load(*((weights, matrix.activations)
                                   for weights, matrix in zip(ready, matrices, strict=True)))
            yield LayerRow(matrix="layer", rows=None, cols=None, format=name, relative_error=None,
                           bits_per_weight=image_bits / sum(rows * cols for rows, cols in shapes),
                           **_timing(products_over_phases(device, driver, loaded), expected, job, device.dram))
    if device.waves:
        print(f"waveform: {device.waves}")


def simulate(job: Job, matrices: list[Matrix], chain: bool = True, update: Update = no_progress) -> list[LayerRow]:
    """Run every matrix in every format; with ``chain``, all of them in one run too.

    Returns
    -------
    list of LayerRow
        Matrix by matrix, formats in the job's order within each; the chain, as ``layer``, last.

    Raises
    ------
    UserError
        When an engine cannot take a matrix, or a format its weights.
    """
    measured = {name: list(_measure(job, name, matrices, chain, update)) for name in job.formats}
    if baselines := measured.get("fp16"):
        measured = {name: [replace(row, speedup=baseline.cycles / row.cycles, byte_ratio=baseline.bytes / row.bytes)
                           for row, baseline in zip(rows, baselines, strict=True)] for name, rows in measured.items()}
    return [row for rows in zip(*measured.values(), strict=True) for row in rows]
