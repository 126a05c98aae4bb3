"""Driver of the engine: memory layout, registers, one matrix-vector product at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from golden.activations import require_finite
from golden.product import Weights, factor, format_of
from host.device import Device, DeviceError
from host.errors import UserError
from host.image import activation_image, weight_image
from hw.config import EngineConfig
from hw.registers import ID, OFFSETS, START, Status, identity

__all__ = ["Counters", "Driver", "Loaded", "Product", "check_shape", "memory_needed"]

_PAGE = 4096
_CYCLES_PER_BEAT = 64
"""A run that takes longer than this for each beat, and a million cycles, is taken for hung."""


@dataclass(frozen=True)
class Counters:
    """Performance counters of one run, as :data:`hw.registers.REGISTERS` describes them."""

    cycles: int
    starved: int
    stalled: int
    beats: int
    bytes_read: int
    bytes_written: int


@dataclass(frozen=True)
class Product:
    """Result of one run: ``y``, float32, (rows,), and the counters."""

    y: np.ndarray
    counters: Counters


@dataclass(frozen=True)
class Loaded:
    """A product in the device's memory: its shape, where its results go, its size there."""

    rows: int
    cols: int
    result_addr: int
    image_bytes: int
    beats: int


def _aligned(address: int) -> int:
    return -(-address // _PAGE) * _PAGE


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


def memory_needed(config: EngineConfig, shape: tuple[int, int]) -> int:
    """Bytes that :meth:`Driver.load` needs at most for a matrix of this shape: activations, image, results."""
    rows, blocks = shape[0], config.blocks(shape[1])
    image = -(-rows // config.lanes) * blocks * config.word_bits // 8
    return sum(_aligned(size + config.bus_bytes) for size in (2 * blocks * config.c, image, 4 * rows))


class Driver:
    """Runs products on a device whose engine was built from ``config``.

    Raises
    ------
    DeviceError
        When the device holds another design, or an engine for another format or bus.
    """

    def __init__(self, device: Device, config: EngineConfig):
        self._device, self._config = device, config
        found = device.read_register(OFFSETS["ID"])
        if found != ID:
            raise DeviceError(f"the device's ID register reads {found:#010x} where a seedlm-fpga engine has {ID:#010x}")
        found, wanted = device.read_register(OFFSETS["FORMAT"]), identity(config)
        if found != wanted:
            raise DeviceError(f"the engine's FORMAT register reads {found:#x}; {config.name} on a {config.bus_bits}-bit"
                              f" bus has {wanted:#x}: load the matching bitstream")

    def image(self, weights: Weights) -> bytes:
        """The weight image for this engine.

        Raises
        ------
        UserError
            When the engine cannot take a matrix of this shape.
        DeviceError
            When the weights are in another format than the engine's.
        """
        check_shape(self._config, weights.shape)
        if (fmt := format_of(weights)) != self._config.fmt:
            raise DeviceError(f"a matrix in {EngineConfig(fmt).name} does not run on an engine for {self._config.name}")
        if isinstance(weights, np.ndarray):
            require_finite(weights, "weights")
        return weight_image(weights, self._config)

    def load(self, weights: Weights, x: np.ndarray) -> Loaded:
        """Put a product's operands into the device's memory and its parameters into the registers.

        Parameters
        ----------
        weights : Weights
        x : float16 array (columns,)

        Raises
        ------
        UserError
            When the shapes do not fit the engine or its memory.
        DeviceError
            When the weights are in another format than the engine's.
        """
        image = self.image(weights)
        rows, cols = weights.shape
        if x.shape != (cols,):
            raise UserError(f"activations must have shape ({cols},), not {x.shape}")
        activations = activation_image(require_finite(x, "activations"), self._config)
        weight_addr = _aligned(len(activations))
        result_addr = weight_addr + _aligned(len(image))
        end = result_addr + _aligned(4 * rows)
        if end > self._device.memory_bytes:
            raise UserError(f"a matrix of {rows} x {cols} needs {end} bytes of memory; the device has "
                            f"{self._device.memory_bytes}")
        self._device.write_memory(0, activations)
        self._device.write_memory(weight_addr, image)

        for name, value in (
            ("ACTIVATION_ADDR", 0),
            ("WEIGHT_ADDR", weight_addr),
            ("RESULT_ADDR", result_addr),
            ("ROWS", rows),
            ("BLOCKS", self._config.blocks(cols)),
            ("ACTIVATION_BEATS", len(activations) // self._config.bus_bytes),
            ("WEIGHT_BEATS", len(image) // self._config.bus_bytes),
            ("FACTOR_EXPONENT", int(factor(weights, self._config.act_bits).view(np.uint32)) >> 23),
        ):
            self._device.write_register(OFFSETS[name], value)
        return Loaded(rows, cols, result_addr, len(image), (len(activations) + len(image)) // self._config.bus_bytes)

    def run(self, loaded: Loaded) -> Product:
        """The product that was loaded last; as often as wanted.

        Raises
        ------
        DeviceError
            When the run fails or does not end.
        """
        self._device.write_register(OFFSETS["CONTROL"], START)
        done = self._device.wait(1_000_000 + _CYCLES_PER_BEAT * loaded.beats)
        self._check_status(loaded.rows, loaded.cols, done)
        counters = Counters(*(self._device.read_register(OFFSETS[name.upper()]) for name in Counters.__annotations__))
        y = np.frombuffer(self._device.read_memory(loaded.result_addr, 4 * loaded.rows), dtype="<f4")
        return Product(y, counters)

    def multiply(self, weights: Weights, x: np.ndarray) -> Product:
        """``weights @ x`` on the device: :meth:`load`, then :meth:`run`."""
        return self.run(self.load(weights, x))

    def _check_status(self, rows: int, cols: int, done: bool) -> None:
        status: Any = Status.from_bits(self._device.read_register(OFFSETS["STATUS"]))
        what = f"the product of {rows} x {cols} in {self._config.name}"
        if not done or not status.done:
            raise DeviceError(f"{what} did not end")
        for name, problem in (("read_error", "memory answered a read with an error"),
                              ("write_error", "memory answered a write with an error"),
                              ("not_finite", "the device met an activation that is NaN or infinite")):
            if status[name]:
                raise DeviceError(f"{what} failed: {problem}")
