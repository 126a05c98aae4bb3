"""Driver of the engine: it computes matrix-vector products, alone or in chains, of NumPy arrays."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from golden.activations import require_finite
from golden.block import CompressedMatrix
from golden.product import Weights, factor, format_of
from golden.trellis.matrix import TrellisMatrix
from host.device.arena import Loaded, Operand, check_room, place
from host.device.device import Device, DeviceError
from host.device.identity import check_engine, fields_of
from host.errors import UserError
from host.packing.image import SlicedMatrix, activation_image, image_bytes, weight_image
from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_image
from hw.registers.register_map import ABORT, COUNTERS, DESCRIPTOR_REGISTERS, ERRORS, OFFSETS, START, Interrupt, Status

__all__ = ["Counters", "Driver", "Product", "check_shape", "mean"]

_PATIENCE = 1_000_000
"""Cycles that a run may take beside those for its beats, and in which it has to end once it is aborted."""
_CYCLES_PER_BEAT = 64
"""A run is taken for hung after :data:`_PATIENCE` and so many cycles for each beat that it reads."""
_SETTLING_READS = 10_000
"""Reads of STATUS after which memory is given up that still owes answers to an earlier run."""
_LAST_COUNT = (1 << 32) - 1
"""Where a counter stops."""
_ABOUT_DESCRIPTORS = ("bad_descriptor", "bad_size", "bad_activations", "bad_weights")
"""Causes with which ERROR_ADDR holds the address of a descriptor, and 0 for the one in the registers."""
_DONE: int = Interrupt.const({"done": 1}).as_bits()
"""The interrupt at the end of a run, in IRQ_ENABLE and IRQ_PENDING."""


@dataclass(frozen=True)
class Counters:
    """Performance counters of one run: what :data:`hw.registers.register_map.COUNTERS` says of the counter of the same
    name. ``bytes_read`` and ``bytes_written`` are the beats read and written, times the bytes of a beat.

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
    matrix = f"a matrix of {shape[0]} x {shape[1]} does not fit the engine"
    for what, size, most in zip(("rows", "columns"), shape, (config.max_rows, config.max_cols), strict=True):
        if not 1 <= size <= most:
            raise UserError(f"{matrix}: {what} must be from 1 to {most}")
    if (beats := image_bytes(config, shape) // config.bus_bytes) >= 1 << 32:
        raise UserError(f"{matrix}: its image takes {beats} beats, and the engine counts to {(1 << 32) - 1}: split it "
                        "into matrices of fewer rows")


class Driver:
    """Runs products on a device whose engine was built from ``config``, one after another or in chains.

    Raises
    ------
    DeviceError
        When the device holds another design, another edition of the register map, or an engine that was not built from
        ``config``.
    """

    def __init__(self, device: Device, config: EngineConfig) -> None:
        check_engine(device, config)
        self._device, self._config = device, config

    def _read(self, name: str) -> int:
        """Return the register of this name."""
        return self._device.read_register(OFFSETS[name])

    def _write(self, name: str, value: int) -> None:
        """Set the register of this name."""
        self._device.write_register(OFFSETS[name], value)

    def _status(self) -> Any:
        """Return the STATUS register, with its fields."""
        return fields_of("STATUS", Status, self._read("STATUS"))

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

    def load(self, *products: tuple[Weights | SlicedMatrix, np.ndarray], at: int | None = None) -> Loaded:
        """Put the operands of a chain of products, and its descriptors, into the device's memory.

        Parameters
        ----------
        products : (weights, x)
            ``weights`` are (rows, columns), and ``x`` is a float16 array, (columns,). Where ``x`` is the very array of
            the product before, memory holds it once, and the engine reads it once.
        at : int, optional
            Address from which on they lie, by default that of the memory's first byte. A chain that was loaded before
            can still be run where the two do not overlap.

        Raises
        ------
        UserError
            When the shapes do not fit the engine or its memory.
        DeviceError
            When the weights are in another format than the engine's, or a run of another program cannot be ended, or
            memory still owes answers to a run that failed.
        """
        config, device, vectors, operands, previous = self._config, self._device, list[bytes](), list[Operand](), None
        for weights, x in products:
            self._check(weights)
            rows, cols = weights.shape
            if x.shape != (cols,):
                raise UserError(f"activations must have shape ({cols},), not {x.shape}")
            vectors.append(b"" if x is previous else activation_image(require_finite(x, "activations"), config))
            previous = x
            bias = weights.exponent_bias if isinstance(weights, CompressedMatrix | TrellisMatrix) else 0
            exponent = int(factor(config.fmt, bias, config.act_bits).view(np.uint32)) >> 23
            operands.append(Operand(rows, cols, len(vectors[-1]), image_bytes(config, weights.shape), exponent))
        base = device.memory_base if at is None else at
        loaded, size = place(config, operands, base)
        check_room(config, loaded, size, base, device.memory_base + device.memory_bytes - base)
        self._settle()
        for placed, (weights, _), vector in zip(loaded.matrices, products, vectors, strict=True):
            if vector:
                device.write_memory(placed.address("ACTIVATION_ADDR"), vector)
            addr = placed.address("WEIGHT_ADDR")
            for part in weights.slices() if isinstance(weights, SlicedMatrix) else (weights,):
                image = self.image(part)
                device.write_memory(addr, image)
                addr += len(image)
            if placed.descriptor_addr:
                device.write_memory(placed.descriptor_addr, descriptor_image(placed.words))
        return loaded

    def write_vector(self, loaded: Loaded, x: np.ndarray) -> None:
        """Give a chain that was loaded another vector: float16, (columns,), for the first product and for those that
        share its vector.

        Raises
        ------
        UserError
            When the vector has another length.
        DeviceError
            As :meth:`load`.
        """
        first = loaded.matrices[0]
        if x.shape != (first.cols,):
            raise UserError(f"activations must have shape ({first.cols},), not {x.shape}")
        self._settle()
        self._device.write_memory(first.address("ACTIVATION_ADDR"),
                                  activation_image(require_finite(x, "activations"), self._config))

    def run(self, loaded: Loaded) -> Product:
        """Compute the products of what was loaded, which may be done any number of times.

        A run that does not end is aborted. It is aborted too when an exception interrupts the wait, such as that of a
        key press, so that the next run finds the engine free.

        Raises
        ------
        DeviceError
            When the run fails or does not end, or takes more cycles than can be counted. The message names cause,
            matrix and address.
        """
        for name in DESCRIPTOR_REGISTERS:
            self._write(name, loaded.matrices[0].words[name])
        self._write("IRQ_PENDING", _DONE)
        self._write("IRQ_ENABLE", _DONE)
        limit = _PATIENCE + _CYCLES_PER_BEAT * loaded.beats
        try:
            self._write("CONTROL", START)
            ended = self._ended(limit)
        except BaseException:
            with suppress(Exception):  # the first exception says more
                self._abort()
            raise
        if not ended:
            self._abort()
        self._check_status(loaded, limit, ended)
        counters = self._counters()
        return Product(tuple(np.frombuffer(self._device.read_memory(placed.address("RESULT_ADDR"), 4 * placed.rows),
                                           dtype="<f4") for placed in loaded.matrices), counters)

    def multiply(self, weights: Weights, x: np.ndarray) -> Product:
        """Compute ``weights @ x`` on the device: :meth:`load`, then :meth:`run`."""
        return self.run(self.load((weights, x)))

    def _settle(self) -> None:
        """Wait until the memory that is to be written concerns nobody any more.

        A program that was killed may have left a run under way, which is aborted, and memory may owe answers to a run
        that failed.
        """
        if self._status().busy:
            self._abort()
        for _ in range(_SETTLING_READS):
            status = self._status()
            if not status.busy and not status.settling:
                return
        raise DeviceError("the device is still busy with an earlier run, which failed or was left by another program: "
                          "reset the device")

    def _ended(self, limit: int) -> bool:
        """Wait for the end of a run and acknowledge its interrupt; return whether the run has ended."""
        waited = self._device.wait(limit)
        self._write("IRQ_PENDING", _DONE)
        return waited and bool(self._status().done)

    def _abort(self) -> None:
        """End the run that is under way, and wait for that."""
        self._write("CONTROL", ABORT)
        if not self._status().done:
            self._ended(_PATIENCE)

    def _counters(self) -> Counters:
        """Return the counters of the last run."""
        counts = {name: self._read(name.upper()) for name in COUNTERS}
        if stopped := [name.upper() for name, count in counts.items() if count == _LAST_COUNT]:
            raise DeviceError(f"the run took more cycles than the engine counts: {', '.join(stopped)} stopped at "
                              f"{_LAST_COUNT}: run fewer matrices at once")
        size = self._config.bus_bytes
        return Counters(**{name: count for name, count in counts.items() if name != "write_beats"},
                        bytes_read=counts["beats"] * size, bytes_written=counts["write_beats"] * size)

    def _check_status(self, loaded: Loaded, limit: int, ended: bool) -> None:
        """Raise DeviceError unless the last run ended without a fault.

        Parameters
        ----------
        limit : int
            Cycles in which the run had to end.
        ended : bool
            Whether it did, and had not to be aborted.
        """
        status, matrices = self._status(), loaded.matrices
        whole = f"the product of {matrices[0].rows} x {matrices[0].cols} in {self._config.name}"
        if len(matrices) > 1:
            whole = f"the chain of {len(matrices)} products in {self._config.name}"
        if not status.done:
            raise DeviceError(f"{whole} did not end, not even after an abort: reset the device")
        if not ended and status.aborted:
            raise DeviceError(f"{whole} did not end within {limit} cycles and was aborted")
        cause = next((cause for cause in ERRORS if status[cause]), None)
        if cause is None:
            return
        address = self._read("ERROR_ADDR") | self._read("ERROR_ADDR_HI") << 32
        number, where = self._found(loaded, cause, address)
        what = whole if number is None or len(matrices) == 1 else (
            f"the product of {matrices[number].rows} x {matrices[number].cols} in {self._config.name}, number "
            f"{number + 1} of {len(matrices)} in a chain,")
        raise DeviceError(f"{what} failed: {ERRORS[cause]} ({where})")

    def _found(self, loaded: Loaded, cause: str, address: int) -> tuple[int | None, str]:
        """Return the number of the matrix that an error is about, None when it cannot be told, and words for the
        place."""
        if cause in _ABOUT_DESCRIPTORS and not address:
            return 0, "the descriptor in the registers"
        for number, placed in enumerate(loaded.matrices):
            for region, start, size in placed.regions(self._config.bus_bytes):
                if start <= address < start + size:
                    return number, f"address {address:#x}, {region}"
        return None, f"address {address:#x}"
