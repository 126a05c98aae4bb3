"""The main job: matrices run through the simulated engine in each format, one by one and as a chain.

Every result is compared with golden, and the cycles of every format with FP16's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from golden.product import Weights, product, restored
from golden.spec import ACT_BITS, parse_format
from host.checkpoint.checkpoint import open_checkpoint
from host.device.arena import memory_needed
from host.device.driver import Driver, Product, check_shape, mean
from host.measure.layer_matrices import stored_layer
from host.measure.matrices import Matrix, prepared
from host.measure.phases import products_over_phases
from host.measure.roles import LAYER
from host.measure.shapes import LayerShape
from host.packing.image import StoredMatrix
from host.tables.causes import CAUSES
from host.tables.layer import LayerRow
from host.update import Update, no_progress
from hw.config import EngineConfig
from sim.dram.dram import Dram
from sim.waves.waves import open_device
from sim.waves.window import Window

__all__ = ["Job", "layer_matrices", "simulate"]


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
    waves : Window or None
        Cycles of which a waveform is left, in each format.
    """

    formats: tuple[str, ...]
    memory: str
    bus_bits: int
    simulator: str
    act_bits: int = ACT_BITS
    waves: Window | None = None


def layer_matrices(model: str, layer: int, rows: int | None = None) -> tuple[list[Matrix], str]:
    """Return the matrices of a decoder layer that a token uses, in that order, and what to say of experts.

    Parameters
    ----------
    rows : int, optional
        Of each matrix, only so many rows, the first ones.

    Raises
    ------
    UserError
        When the checkpoint cannot be read, has no such layer, or does not say how many experts a token uses.
    """
    checkpoint = open_checkpoint(model)
    found = stored_layer(checkpoint, layer)
    return [found.read(checkpoint, matrix, rows)
            for matrix in LayerShape(LAYER, (layer,), found.matrices).chain], found.experts


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
    with open_device(config, job.memory, max(memory_needed(config, part) for part in parts), job.simulator, job.waves
                     ) as device:
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
        print(f"waveform: {device.waves}: top.fst; top.gtkw for GTKWave; top.sucl for Surfer")


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
