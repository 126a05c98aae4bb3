"""A point of a sweep: a layer of a model, or one of its matrices, in a format, on a memory; in RTL or by the model.

A layer is one chain of its seven matrices. A layer whose image exceeds the engine's addresses is run as several chains,
whose cycles are added up; each further chain costs one more start and drain.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from golden.product import Weights, product
from golden.spec import ACT_BITS, parse_format
from host.checkpoint.checkpoint import open_checkpoint
from host.device.arena import memory_needed
from host.device.driver import Counters, Driver, mean
from host.errors import UserError
from host.measure.cycle_model import Step, predict
from host.measure.layer import Matrix, prepared, products_over_phases
from host.measure.models import INPUTS, MATRICES, ModelShape
from host.packing.image import SlicedMatrix, slice_rows
from hw.config import EngineConfig
from sim.device.cocotb_device import open_device
from sim.device.random_operands import finite_halves, random_weights
from sim.dram.presets import preset

__all__ = ["Point", "Result", "add_up", "measured", "predicted"]

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
        """Configuration of the engine that the point runs on."""
        return EngineConfig(parse_format(self.format), self.bus_bits, act_bits=self.act_bits)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its matrices."""
        return MATRICES if self.matrix == "layer" else (self.matrix,)

    @property
    def weights(self) -> int:
        """Number of its weights."""
        return sum(rows * cols for rows, cols in map(self.model.shape, self.names))

    @property
    def seconds(self) -> float:
        """Rough time that RTL takes on one core, in seconds, without the build of the simulator."""
        return self.weights * _SECONDS.get(self.format, _SECONDS[""])

    def chains(self) -> list[list[str]]:
        """Return its matrices by run, as many in each as fit into the engine's addresses."""
        config, chains = self.config, [[]]  # type: tuple[EngineConfig, list[list[str]]]
        for name in self.names:
            shapes = [self.model.shape(each) for each in (*chains[-1], name)]
            if chains[-1] and memory_needed(config, shapes) > 1 << config.addr_bits:
                chains.append([])
            chains[-1].append(name)
        return chains


def add_up(counters: Iterable[Counters]) -> Counters:
    """Return the counters of several runs, as if they were one."""
    return Counters(*(sum(values) for values in zip(*(asdict(each).values() for each in counters), strict=True)))


def _input(name: str) -> str:
    """Return the name of the matrix whose input vector a matrix is multiplied with."""
    return INPUTS.get(name, name)


def _steps(point: Point, names: Sequence[str]) -> list[Step]:
    """Return a chain as the cycle model takes it."""
    return [Step(*point.model.shape(name), i > 0 and _input(names[i - 1]) == _input(name))
            for i, name in enumerate(names)]


def predicted(point: Point) -> Counters:
    """Return the counters that the cycle model predicts."""
    return add_up(predict(point.config, preset(point.memory), _steps(point, names)) for names in point.chains())


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


def _stored(point: Point, names: Sequence[str]) -> dict[str, Weights]:
    """Return the weights of a checkpoint by name, in the point's format."""
    checkpoint = open_checkpoint(str(point.model.path))
    where = {**dict(checkpoint.layer_matrices(point.layer)), "lm_head": checkpoint.lm_head}
    return {name: prepared(point.config, Matrix(name, checkpoint.matrix(where[name]), checkpoint.stored(where[name])),
                           lambda done, total: None) for name in names}


def _run(point: Point, names: Sequence[str]) -> tuple[Counters, bool]:
    """Run one chain in RTL; return its counters and whether its results are golden's."""
    config, vectors, results = point.config, {}, {name: [] for name in names}  # type: ignore[var-annotated]
    shapes = [point.model.shape(name) for name in names]
    for name, (_, cols) in zip(names, shapes, strict=True):
        if _input(name) not in vectors:
            vectors[_input(name)] = finite_halves(np.random.default_rng([zlib.crc32(name.encode()), cols]), cols)
    stored = _stored(point, names) if point.model.path else {}
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
    return mean([run.counters for run in runs]), exact


def measured(point: Point) -> Result:
    """Run a point in RTL.

    Raises
    ------
    UserError
        When a matrix does not fit the engine or its addresses.
    sim.tools.errors.ToolError, sim.tools.errors.SimulationError, host.device.device.DeviceError
        When the simulator cannot be built, or fails.
    """
    for name in point.names:
        rows, cols = point.model.shape(name)
        if (need := memory_needed(point.config, [(rows, cols)])) > 1 << point.config.addr_bits:
            raise UserError(f"{name} of {point.model.name}, {rows} x {cols} in {point.format}, needs {need} bytes; the "
                            f"engine's addresses end at {1 << point.config.addr_bits}: take a denser format")
    runs = [_run(point, names) for names in point.chains()]
    return {**asdict(add_up(counters for counters, _ in runs)), "bit_exact": all(exact for _, exact in runs)}
