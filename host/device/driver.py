"""Driver of the engine: it computes matrix-vector products, alone or in chains, of NumPy arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from golden.activations import require_finite
from golden.block import CompressedMatrix
from golden.product import Weights, factor, format_of
from host.device.arena import Loaded, Operand, place
from host.device.device import Device, DeviceError
from host.errors import UserError
from host.packing.image import SlicedMatrix, activation_image, image_bytes, weight_image
from hw.config import EngineConfig
from hw.dma.descriptor import WORDS, descriptor_image
from hw.registers.register_map import COUNTERS, ID, OFFSETS, START, Status, identity

__all__ = ["Counters", "Driver", "Product", "check_shape", "mean"]

_CYCLES_PER_BEAT = 64
"""A run is taken for hung after a million cycles and so many for each beat that it reads."""
_PROBLEMS = {
    "read_error": "memory answered a read with an error",
    "write_error": "memory answered a write with an error",
    "not_finite": "the device met an activation that is NaN or infinite",
    "bad_descriptor": "the device met a descriptor that is not for it",
    "timeout": "memory gave no answer",
}
"""Messages by error, as the STATUS register names them. The first of those that it reports is shown."""


@dataclass(frozen=True)
class Counters:
    """Performance counters of one run: what :data:`hw.registers.register_map.COUNTERS` says of the counter of the same
    name.

    Every cycle belongs to one class of :data:`~hw.registers.cycle_classes.CYCLE_CLASSES`:
    ``beats + starved + refresh + stalled + drain == cycles``.
    """

    cycles: int
    starved: int
    refresh: int
    stalled: int
    drain: int
    beats: int
    bytes_read: int
    bytes_written: int


def mean(counters: Sequence[Counters]) -> Counters:
    """Return the rounded means of the counters of several runs of the same work."""
    return Counters(*(round(sum(getattr(each, field.name) for each in counters) / len(counters))
                      for field in fields(Counters)))


@dataclass(frozen=True)
class Product:
    """What a run leaves: the result of each product of the chain, float32, (rows,), and the counters of the run."""

    results: tuple[np.ndarray, ...]
    counters: Counters

    @property
    def y(self) -> np.ndarray:
        """The last result, which is the only one of a single product: float32, (rows,)."""
        return self.results[-1]


def check_shape(config: EngineConfig, shape: tuple[int, int]) -> None:
    """Refuse a matrix that an engine built from ``config`` cannot take.

    Raises
    ------
    UserError
    """
    for what, size, most in zip(("rows", "columns"), shape, (config.max_rows, config.max_cols), strict=True):
        if not 1 <= size <= most:
            raise UserError(f"a matrix of {shape[0]} x {shape[1]} does not fit the engine: {what} must be from 1 to "
                            f"{most}")


class Driver:
    """Runs products on a device whose engine was built from ``config``, one after another or in chains.

    Raises
    ------
    DeviceError
        When the device holds another design, or an engine for another format or bus.
    """

    def __init__(self, device: Device, config: EngineConfig) -> None:
        self._device, self._config = device, config
        found = device.read_register(OFFSETS["ID"])
        if found != ID:
            raise DeviceError(f"the device's ID register reads {found:#010x} where a seedlm-fpga engine has {ID:#010x}")
        found, wanted = device.read_register(OFFSETS["FORMAT"]), identity(config)
        if found != wanted:
            raise DeviceError(f"the engine's FORMAT register reads {found:#x}; {config.name} on a {config.bus_bits}-bit"
                              f" bus has {wanted:#x}: load the matching bitstream")

    def _check(self, weights: Weights | SlicedMatrix) -> None:
        """Refuse a matrix whose shape or format the engine cannot take, with UserError or DeviceError."""
        check_shape(self._config, weights.shape)
        fmt = weights.fmt if isinstance(weights, SlicedMatrix) else format_of(weights)
        if fmt != self._config.fmt:
            raise DeviceError(f"a matrix in {EngineConfig(fmt).name} does not run on an engine for {self._config.name}")

    def image(self, weights: Weights) -> bytes:
        """Return the image of a matrix for this engine.

        Raises
        ------
        UserError
            When the engine cannot take a matrix of this shape.
        DeviceError
            When the weights are in another format than the engine's.
        """
        self._check(weights)
        if isinstance(weights, np.ndarray):
            require_finite(weights, "weights")
        return weight_image(weights, self._config)

    def load(self, *products: tuple[Weights | SlicedMatrix, np.ndarray]) -> Loaded:
        """Put the operands of a chain of products, and its descriptors, into the device's memory.

        Parameters
        ----------
        products : (weights, x)
            ``weights`` are (rows, columns), and ``x`` is a float16 array, (columns,). Where ``x`` is the very array of
            the product before, memory holds it once, and the engine reads it once.

        Raises
        ------
        UserError
            When the shapes do not fit the engine or its memory.
        DeviceError
            When the weights are in another format than the engine's.
        """
        config, vectors, operands, previous = self._config, [], [], None
        for weights, x in products:
            self._check(weights)
            rows, cols = weights.shape
            if x.shape != (cols,):
                raise UserError(f"activations must have shape ({cols},), not {x.shape}")
            vectors.append(b"" if x is previous else activation_image(require_finite(x, "activations"), config))
            previous = x
            bias = weights.exponent_bias if isinstance(weights, CompressedMatrix) else 0
            exponent = int(factor(config.fmt, bias, config.act_bits).view(np.uint32)) >> 23
            operands.append(Operand(rows, cols, len(vectors[-1]), image_bytes(config, weights.shape), exponent))
        loaded, size = place(config, operands)
        if size > self._device.memory_bytes:
            what = f"a matrix of {rows} x {cols}" if len(operands) == 1 else f"a chain of {len(operands)} matrices"
            raise UserError(f"{what} needs {size} bytes of memory; the device has {self._device.memory_bytes}")
        for placed, (weights, _), vector in zip(loaded.matrices, products, vectors, strict=True):
            if vector:
                self._device.write_memory(placed.words["ACTIVATION_ADDR"], vector)
            addr = placed.words["WEIGHT_ADDR"]
            for part in weights.slices() if isinstance(weights, SlicedMatrix) else (weights,):
                image = self.image(part)
                self._device.write_memory(addr, image)
                addr += len(image)
            if placed.descriptor_addr:
                self._device.write_memory(placed.descriptor_addr, descriptor_image(placed.words))
        return loaded

    def run(self, loaded: Loaded) -> Product:
        """Compute the products of what was loaded last, which may be done any number of times.

        Raises
        ------
        DeviceError
            When the run fails or does not end. The message names cause, matrix and address.
        """
        first = loaded.matrices[0]
        for name in WORDS:
            if name != "FORMAT":
                self._device.write_register(OFFSETS[name], first.words[name])
        self._device.write_register(OFFSETS["CONTROL"], START)
        done = self._device.wait(1_000_000 + _CYCLES_PER_BEAT * loaded.beats)
        self._check_status(loaded, done)
        counters = Counters(**{name: self._device.read_register(OFFSETS[name.upper()]) for name in COUNTERS})
        return Product(tuple(np.frombuffer(self._device.read_memory(placed.words["RESULT_ADDR"], 4 * placed.rows),
                                           dtype="<f4") for placed in loaded.matrices), counters)

    def multiply(self, weights: Weights, x: np.ndarray) -> Product:
        """Compute ``weights @ x`` on the device: :meth:`load`, then :meth:`run`."""
        return self.run(self.load((weights, x)))

    def _check_status(self, loaded: Loaded, done: bool) -> None:
        """Raise DeviceError unless the STATUS register says that the run ended without a fault."""
        status: Any = Status.from_bits(self._device.read_register(OFFSETS["STATUS"]))
        shapes = [f"{placed.rows} x {placed.cols}" for placed in loaded.matrices]
        if not done or not status.done:
            what = f"product of {shapes[0]}" if len(shapes) == 1 else f"chain of {len(shapes)} products"
            raise DeviceError(f"the {what} in {self._config.name} did not end")
        problem = next((problem for error, problem in _PROBLEMS.items() if status[error]), None)
        if problem is None:
            return
        address = self._device.read_register(OFFSETS["ERROR_ADDR"])
        number, region = next(
            ((number, f" ({name})") for number, placed in enumerate(loaded.matrices)
             for name, start, size in placed.regions(self._config.bus_bytes) if start <= address < start + size),
            (0, ""))
        place_in_chain = f", number {number + 1} of {len(shapes)} in a chain," if len(shapes) > 1 else ""
        raise DeviceError(f"the product of {shapes[number]} in {self._config.name}{place_in_chain} failed: {problem} "
                          f"at address {address:#x}{region}")
