"""A point of a sweep: a layer of a model, or one of its matrices, in a format, on a memory; in RTL or by the model.

A layer is one chain of all matrices that a token uses, however large. Weights are random, or given; nothing here reads
a checkpoint, so that points on random weights do not depend on how checkpoints are read.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from golden.product import Weights, product
from golden.spec import ACT_BITS, parse_format
from host.device.arena import memory_needed
from host.device.driver import Counters, Driver, mean
from host.measure.cycle_model import Step, predict, tolerance
from host.measure.phases import products_over_phases
from host.measure.shapes import MatrixShape, ModelShape
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
        What is streamed, as :meth:`~host.measure.shapes.ModelShape.chain` takes it.
    format, memory : str
        Name of the format, and memory preset.
    bus_bits, act_bits : int
        Width of the memory bus and of an activation.
    layer : int
        Number of the decoder layer, of a checkpoint.

    Raises
    ------
    UserError
        From every property of its matrices: when the model has none of this name.
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

        The engine reaches all of the model in this format, all layers, experts and lm_head, because rows of whole
        models are made of points: addresses have more than 32 bits where that is more than 4 GiB.
        """
        config = EngineConfig(parse_format(self.format), self.bus_bits, act_bits=self.act_bits)
        needed = memory_needed(config, [self.model.head.shape]) + sum(
            kind.count * matrix.held * memory_needed(config, [matrix.shape])
            for kind in self.model.kinds for matrix in kind.matrices)
        return replace(config, addr_bits=max(config.addr_bits, (needed - 1).bit_length()))

    @property
    def chain(self) -> tuple[MatrixShape, ...]:
        """Its matrices."""
        return self.model.chain(self.matrix)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of its matrices."""
        return [matrix.shape for matrix in self.chain]

    @property
    def weights(self) -> int:
        """Number of its weights."""
        return sum(matrix.weights for matrix in self.chain)

    @property
    def stored(self) -> bool:
        """Whether its weights are those of a checkpoint."""
        return self.model.path is not None

    @property
    def seconds(self) -> float:
        """Rough time that RTL takes on one core, in seconds, without the build of the simulator."""
        return self.weights * _SECONDS.get(self.format, _SECONDS[""])


def _steps(point: Point) -> list[Step]:
    """Return the chain that the point runs, for the cycle model."""
    before = [None, *(matrix.input for matrix in point.chain)]
    return [Step(*matrix.shape, matrix.input == shared) for matrix, shared in zip(point.chain, before, strict=False)]


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


def measured(point: Point, stored: Mapping[str, Weights] | None = None) -> Result:
    """Run a point in RTL.

    Parameters
    ----------
    stored : mapping, optional
        Weights of its matrices by name, in the point's format; random ones by default.

    Raises
    ------
    UserError
        When a matrix does not fit the engine, or the chain the simulated memory.
    sim.tools.errors.ToolError, sim.tools.errors.SimulationError, host.device.device.DeviceError
        When the simulator cannot be built, or fails.
    """
    config, chain, stored = point.config, point.chain, stored or {}
    vectors, results = dict[str, np.ndarray](), {matrix.name: list[np.ndarray]() for matrix in chain}
    for matrix in chain:
        if matrix.input not in vectors:
            rng = np.random.default_rng([zlib.crc32(matrix.name.encode()), matrix.cols])
            vectors[matrix.input] = finite_halves(rng, matrix.cols)
    with open_device(config, point.memory, memory_needed(config, point.shapes), "verilator") as device:
        driver, operands = Driver(device, config), []
        for matrix in chain:
            name, x = matrix.name, vectors[matrix.input]
            if name in stored:
                results[name].append(product(stored[name], x, config.act_bits))
            operands.append((stored[name] if name in stored else
                             _random(name, *matrix.shape, config, x, results[name]), x))
        runs = products_over_phases(device, driver, driver.load(*operands))
    expected = [np.concatenate(parts).tobytes() for parts in results.values()]
    exact = all([y.tobytes() for y in run.results] == expected for run in runs)
    return {**asdict(mean([run.counters for run in runs])), "bit_exact": exact}
