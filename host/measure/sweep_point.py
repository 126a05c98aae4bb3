"""A point of a sweep: a layer of a model, or one of its matrices, in a format, on a memory; in RTL or by the model.

A layer is one chain of its seven matrices, however large.
"""

import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from golden.product import Weights, product
from golden.spec import ACT_BITS, parse_format
from host.checkpoint.checkpoint import open_checkpoint
from host.device.arena import memory_needed
from host.device.driver import Counters, Driver, mean
from host.measure.cycle_model import Step, predict, tolerance
from host.measure.layer import Matrix, prepared, products_over_phases
from host.measure.models import INPUTS, MATRICES, ModelShape
from host.packing.image import SlicedMatrix, slice_rows
from hw.config import EngineConfig
from sim.device.cocotb_device import open_device
from sim.device.random_operands import finite_halves, random_weights
from sim.dram.presets import preset

__all__ = ["Point", "Result", "measured", "predicted", "predicted_within"]

Result = dict[str, Any]
"""What a point gave, as it is kept: the counters of its runs and ``bit_exact``, or ``error``, a sentence."""
_SLICE = 1 << 20
"""Weights made, packed and multiplied at a time."""
_SECONDS = {"fp16": 1.6e-7, "": 1.1e-7}
"""Seconds on one core for each weight, by format, for the estimate of the time left and of what fits into a time."""


@dataclass(frozen=True)
class Point:
    """What to run.

    Parameters
    ----------
    model : ModelShape
        Weights are those of its checkpoint, where it has one, and random otherwise.
    matrix : str
        One of :data:`~host.measure.models.MATRICES`, ``lm_head``, or ``layer`` for all seven of a layer.
    format, memory : str
        Name of the format, and memory preset.
    bus_bits, act_bits : int
        Width of the memory bus and of an activation.
    layer : int
        Number of the decoder layer, of a checkpoint.
    """

    model: ModelShape
    matrix: str
    format: str
    memory: str
    bus_bits: int
    act_bits: int = ACT_BITS
    layer: int = 0

    @property
    def config(self) -> EngineConfig:
        """Configuration of the engine that the point runs on.

        The engine reaches all of the model in this format, all layers and lm_head, because rows of whole models are
        made of points: addresses have more than 32 bits where that is more than 4 GiB.
        """
        config = EngineConfig(parse_format(self.format), self.bus_bits, act_bits=self.act_bits)
        layer, head = (memory_needed(config, [self.model.shape(name) for name in names])
                       for names in (MATRICES, ("lm_head",)))
        needed = self.model.layers * layer + head
        return replace(config, addr_bits=max(config.addr_bits, (needed - 1).bit_length()))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its matrices."""
        return MATRICES if self.matrix == "layer" else (self.matrix,)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of its matrices."""
        return [self.model.shape(name) for name in self.names]

    @property
    def weights(self) -> int:
        """Number of its weights."""
        return sum(rows * cols for rows, cols in self.shapes)

    @property
    def seconds(self) -> float:
        """Rough time that RTL takes on one core, in seconds, without the build of the simulator."""
        return self.weights * _SECONDS.get(self.format, _SECONDS[""])


def _input(name: str) -> str:
    """Return the name of the matrix whose input vector a matrix is multiplied with."""
    return INPUTS.get(name, name)


def _steps(point: Point) -> list[Step]:
    """Return the chain that the point runs, for the cycle model."""
    inputs = [_input(name) for name in point.names]
    return [Step(*shape, mine == before)
            for shape, mine, before in zip(point.shapes, inputs, [None, *inputs[:-1]], strict=True)]


def predicted(point: Point) -> Counters:
    """Return the counters that the cycle model predicts."""
    return predict(point.config, preset(point.memory), _steps(point))


def predicted_within(point: Point) -> float:
    """Return the share by which the cycles of :func:`predicted` may be off."""
    return tolerance(point.config, preset(point.memory), _steps(point))


def _random(name: str, rows: int, cols: int, config: EngineConfig, x: np.ndarray, results: list[np.ndarray]
            ) -> SlicedMatrix:
    """Return random weights that are made slice by slice, as a whole matrix may not fit into memory.

    Golden's results of a slice are appended to ``results`` when it is made.
    """
    rng = np.random.default_rng([zlib.crc32(f"{name} {config.name}".encode()), rows, cols])
    least = slice_rows(config, cols)
    step = max(_SLICE // (cols * least), 1) * least

    def slices() -> Iterator[Weights]:
        for start in range(0, rows, step):
            part = random_weights(config.fmt, min(step, rows - start), cols, rng)
            results.append(product(part, x, config.act_bits))
            yield part

    return SlicedMatrix(config.fmt, (rows, cols), slices)


def _stored(point: Point) -> dict[str, Weights]:
    """Return the weights of a checkpoint by name, in the point's format."""
    checkpoint = open_checkpoint(str(point.model.path))
    where = {**dict(checkpoint.layer_matrices(point.layer)), "lm_head": checkpoint.lm_head}
    return {name: prepared(point.config, Matrix(name, checkpoint.matrix(where[name]), checkpoint.stored(where[name])),
                           lambda done, total: None) for name in point.names}


def measured(point: Point) -> Result:
    """Run a point in RTL.

    Raises
    ------
    UserError
        When a matrix does not fit the engine, or the chain the simulated memory.
    sim.tools.errors.ToolError, sim.tools.errors.SimulationError, host.device.device.DeviceError
        When the simulator cannot be built, or fails.
    """
    config, names, shapes = point.config, point.names, point.shapes
    vectors, results = dict[str, np.ndarray](), {name: list[np.ndarray]() for name in names}
    for name, (_, cols) in zip(names, shapes, strict=True):
        if _input(name) not in vectors:
            vectors[_input(name)] = finite_halves(np.random.default_rng([zlib.crc32(name.encode()), cols]), cols)
    stored = _stored(point) if point.model.path else {}
    with open_device(config, point.memory, memory_needed(config, shapes), "verilator") as device:
        driver, chain = Driver(device, config), []
        for name, (rows, cols) in zip(names, shapes, strict=True):
            x = vectors[_input(name)]
            if name in stored:
                results[name].append(product(stored[name], x, config.act_bits))
            chain.append((stored[name] if name in stored else
                          _random(name, rows, cols, config, x, results[name]), x))
        runs = products_over_phases(device, driver, driver.load(*chain))
    expected = [np.concatenate(parts).tobytes() for parts in results.values()]
    exact = all([y.tobytes() for y in run.results] == expected for run in runs)
    return {**asdict(mean([run.counters for run in runs])), "bit_exact": exact}
