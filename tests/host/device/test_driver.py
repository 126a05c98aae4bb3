"""The driver against a device that is a dictionary of registers and a bytearray."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from golden import fp16, integers, matvec
from golden.block import CompressedMatrix
from golden.spec import FP16, INT4, SEEDLM3, SEEDLM4, SEEDLM4R, TRELLIS2, BlockFormat, WeightFormat
from host.device.arena import Loaded, Operand, memory_needed, place
from host.device.device import DeviceError
from host.device.driver import Counters, Driver, check_shape
from host.device.identity import found_engine
from host.errors import UserError
from host.packing.image import activation_bytes, activation_image, image_bytes, weight_image
from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_image
from hw.registers.register_map import COUNTERS, DESCRIPTOR_REGISTERS, ERRORS, OFFSETS, capability, identity
from sim.device.random_operands import random_group_matrix, random_matrix

FORMAT_512 = {"seedlm4": 8 | 3 << 9 | 16 << 13 | 4 << 18 | 9 << 21 | 16 << 25, "fp16": 1 | 9 << 21,
              "int8": 8 | 8 << 13 | 9 << 21 | 16 << 25, "int4": 8 | 4 << 13 | 9 << 21 | 16 << 25,
              "int3": 8 | 3 << 13 | 9 << 21 | 16 << 25}
CAPABILITY_512 = 4 | 32 << 4 | 17 << 11 | 16 << 16
"""Of seedlm4 with 16 lanes: 32-bit addresses, 2**17 rows, 2**16 columns."""
CAUSES = ("read_error", "write_error", "not_finite", "bad_descriptor", "timeout", "bad_address", "bad_size",
          "bad_activations", "bad_weights", "protocol_error", "aborted")
BUSY, DONE = 1, 2
CAUSE = {name: 4 << number for number, name in enumerate(CAUSES)}
SETTLING = 1 << 13
START, ABORT = 1, 2
ALWAYS = ("CONTROL", "IRQ_ENABLE", "IRQ_PENDING")


class FakeDevice:
    """An engine whose runs end at once.

    A start leaves ``result`` in memory, ``status`` in STATUS, and the interrupt pending. Counters tell their names'
    places.

    Parameters
    ----------
    status : int
        STATUS after a run. With :data:`BUSY`, the run goes on until it is aborted.
    abortable : bool
        Whether an abort ends a run.
    """

    def __init__(self, identity: int, status: int = DONE, memory_bytes: int = 1 << 16, memory_base: int = 0,
                 abortable: bool = True):
        self.memory_base, self.memory_bytes, self.memory = memory_base, memory_bytes, bytearray(b"\xAA" * memory_bytes)
        self.registers = {"ID": 0x5EED0003, "FORMAT": identity, "CAPABILITY": CAPABILITY_512, "STATUS": 0,
                          "IRQ_PENDING": 1, "IRQ_ENABLE": 0, "ERROR_ADDR": 0, "ERROR_ADDR_HI": 0}
        self.registers |= {name.upper(): 100 + i for i, name in enumerate(COUNTERS)}
        self.status, self.abortable, self.result, self.limits = status, abortable, b"", list[int]()
        self.written: list[str] = []
        self.settling, self.interrupted, self.aborting = 0, False, False

    def read_register(self, offset: int) -> int:
        name = self._name(offset)
        if name == "STATUS" and self.settling:
            self.settling -= 1
            return self.registers[name] | SETTLING
        return self.registers[name]

    def write_register(self, offset: int, value: int) -> None:
        name = self._name(offset)
        assert 0 <= value < 1 << 32
        assert name in ALWAYS or not self.registers["STATUS"] & BUSY, f"{name} is refused while a run is under way"
        self.written.append(name)
        if name == "IRQ_PENDING":
            self.registers[name] &= ~value
        elif name == "CONTROL" and value == START:
            self.aborting = False
            self._end(self.status)
            address = self.registers["RESULT_ADDR"] + (self.registers["RESULT_ADDR_HI"] << 32) - self.memory_base
            self.memory[address:address + len(self.result)] = self.result
        elif name == "CONTROL" and value == ABORT:
            self.aborting = bool(self.registers["STATUS"] & BUSY)
        else:
            self.registers[name] = value

    def _end(self, status: int) -> None:
        self.registers["STATUS"] = status
        if status & DONE:
            self.registers["IRQ_PENDING"] = 1

    def write_memory(self, address: int, content: bytes) -> None:
        address -= self.memory_base
        assert address % 64 == 0
        assert 0 <= address <= self.memory_bytes - len(content)
        self.memory[address:address + len(content)] = content

    def read_memory(self, address: int, count: int) -> bytes:
        address -= self.memory_base
        return bytes(self.memory[address:address + count])

    def wait(self, limit: int) -> bool:
        self.limits.append(limit)
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        if self.aborting and self.abortable:
            self._end(DONE | CAUSE["aborted"])
        return bool(self.registers["IRQ_PENDING"] & self.registers["IRQ_ENABLE"])

    @staticmethod
    def _name(offset: int) -> str:
        return next(name for name, at in OFFSETS.items() if at == offset)


def matrix(rows: int = 20, blocks: int = 3, fmt: BlockFormat = SEEDLM4, bias: int = -4) -> CompressedMatrix:
    return replace(random_matrix(fmt, rows, blocks * fmt.c, np.random.default_rng(rows)), exponent_bias=bias)


def driver(device: FakeDevice, fmt: WeightFormat = SEEDLM4, **parameters: int) -> Driver:
    config = EngineConfig(fmt, **parameters)
    device.registers["CAPABILITY"] = capability(config)
    return Driver(device, config)


def ones(count: int = 24) -> np.ndarray:
    return np.ones(count, np.float16)


def test_a_compressed_product() -> None:
    device, weights, x = FakeDevice(FORMAT_512["seedlm4"]), matrix(), np.linspace(-1, 1, 24).astype(np.float16)
    device.result = matvec.matvec(weights, x).astype("<f4").tobytes()
    product = Driver(device, EngineConfig(SEEDLM4)).multiply(weights, x)
    assert product.y.dtype == np.float32
    assert np.array_equal(product.y, matvec.matvec(weights, x))
    assert product.counters == Counters(cycles=100, starved=101, refresh=102, stalled=103, drain=104, beats=105,
                                        bytes_read=105 * 64, bytes_written=106 * 64)
    config, registers = EngineConfig(SEEDLM4), device.registers
    activations, image = activation_image(x, config), weight_image(weights, config)
    assert (registers["NEXT"], registers["ROWS"], registers["BLOCKS"]) == (0, 20, 3)
    assert (registers["ACTIVATION_BEATS"], registers["WEIGHT_BEATS"]) == (1, 6)
    assert registers["FACTOR_EXPONENT"] == 127 - 8 - 4 - 29 - 15  # shifts, bias, activations, and just above 2**-15
    assert device.read_memory(registers["ACTIVATION_ADDR"], len(activations)) == activations
    assert device.read_memory(registers["WEIGHT_ADDR"], len(image)) == image
    starts = [registers[f"{name}_ADDR"] for name in ("ACTIVATION", "WEIGHT", "RESULT")]
    assert starts == sorted(set(starts))
    assert all(start % 64 == 0 for start in starts)
    assert device.written[-4:] == ["IRQ_PENDING", "IRQ_ENABLE", "CONTROL", "IRQ_PENDING"]
    assert registers["IRQ_PENDING"] == 0
    assert device.limits == [1_000_000 + 64 * 7]


def test_an_fp16_product() -> None:
    device, x = FakeDevice(FORMAT_512["fp16"]), np.linspace(-2, 2, 70).astype(np.float16)
    weights = np.random.default_rng(0).normal(size=(33, 70)).astype(np.float16)
    device.result = fp16.matvec(weights, x).astype("<f4").tobytes()
    product = driver(device, FP16).multiply(weights, x)
    assert np.array_equal(product.y, fp16.matvec(weights, x))
    registers = device.registers
    assert (registers["ROWS"], registers["BLOCKS"]) == (33, 70)
    assert (registers["ACTIVATION_BEATS"], registers["WEIGHT_BEATS"]) == (3, 140)
    assert registers["FACTOR_EXPONENT"] == 127 - 48
    image = weight_image(weights, EngineConfig(FP16))
    assert device.read_memory(registers["WEIGHT_ADDR"], len(image)) == image


@pytest.mark.parametrize(("act_bits", "unit"), [(16, -29), (8, -21)])
def test_an_int4_product(act_bits: int, unit: int) -> None:
    """150 columns are 19 blocks of one group, 152 activations."""
    device, x = FakeDevice(FORMAT_512["int4"] + (act_bits - 16 << 25)), np.linspace(-2, 2, 150).astype(np.float16)
    weights = random_group_matrix(INT4, 17, 150, np.random.default_rng(0))
    device.result = integers.matvec(weights, x, act_bits).astype("<f4").tobytes()
    product = driver(device, INT4, act_bits=act_bits).multiply(weights, x)
    assert np.array_equal(product.y, integers.matvec(weights, x, act_bits))
    registers = device.registers
    assert (registers["ROWS"], registers["BLOCKS"]) == (17, 19)
    assert (registers["ACTIVATION_BEATS"], registers["WEIGHT_BEATS"]) == (5, 40)
    assert registers["FACTOR_EXPONENT"] == 127 - 24 + unit
    image = weight_image(weights, EngineConfig(INT4))
    assert device.read_memory(registers["WEIGHT_ADDR"], len(image)) == image


def test_narrow_activations() -> None:
    device, weights, x = FakeDevice(FORMAT_512["seedlm4"] - (8 << 25)), matrix(), ones()
    loaded = driver(device, act_bits=8).load((weights, x))
    assert loaded.matrices[0].words["FACTOR_EXPONENT"] == 127 - 8 - 4 - 21 - 15


def test_a_wrong_design() -> None:
    device = FakeDevice(FORMAT_512["seedlm4"])
    device.registers["ID"] = 0xDEADBEEF
    with pytest.raises(DeviceError, match="ID register reads 0xdeadbeef where a seedlm-fpga engine has 0x5eed0003"):
        driver(device)


def test_another_edition_of_the_register_map() -> None:
    device = FakeDevice(FORMAT_512["seedlm4"])
    device.registers["ID"] = 0x5EED0002
    with pytest.raises(DeviceError, match="the engine has edition 2 of the register map, and this program knows "
                                          "edition 3: load a bitstream of this version, or use the version that"):
        driver(device)


@pytest.mark.parametrize(("fmt", "parameters", "message"), [
    (SEEDLM3, {}, "seedlm3 on a 512-bit bus: its FORMAT register has c = 8, not 12, p = 3, not 4"),
    (FP16, {}, "fp16 on a 512-bit bus: its FORMAT register has c = 8, not 1, p = 3, not 0, k = 16, not 0, coef_bits ="),
    (SEEDLM4, {"bus_bits": 256}, "seedlm4 on a 256-bit bus: its FORMAT register has bus_log2 = 9, not 8"),
    (SEEDLM4, {"act_bits": 8}, "seedlm4 on a 512-bit bus: its FORMAT register has act_bits = 16, not 8"),
    (SEEDLM4, {"addr_bits": 20}, "seedlm4 on a 512-bit bus: its CAPABILITY register has addr_bits = 32, not 20"),
    (SEEDLM4, {"max_rows": 32, "max_cols": 64},
     "seedlm4 on a 512-bit bus: its CAPABILITY register has max_rows_log2 = 17, not 5, max_cols_log2 = 16, not 6")])
def test_an_engine_for_something_else(fmt: WeightFormat, parameters: dict[str, int], message: str) -> None:
    with pytest.raises(DeviceError, match=f"^the device holds another engine than {message}.*: load the matching bits"):
        Driver(FakeDevice(FORMAT_512["seedlm4"]), EngineConfig(fmt, **parameters))


@pytest.mark.parametrize("config", [
    EngineConfig(SEEDLM4), EngineConfig(SEEDLM3, 64, addr_bits=20, max_rows=32, max_cols=64, act_bits=8),
    EngineConfig(INT4, 1024), EngineConfig(FP16, 32), EngineConfig(BlockFormat(10, 2, 12, 3), 128),
    EngineConfig(SEEDLM4R), EngineConfig(TRELLIS2, 64)],
    ids=lambda config: f"{config.name}-{config.bus_bits}")
def test_the_engine_that_a_device_holds(config: EngineConfig) -> None:
    device = FakeDevice(identity(config))
    device.registers["CAPABILITY"] = capability(config)
    assert found_engine(device) == config


def test_an_engine_that_nobody_knows() -> None:
    device = FakeDevice(FORMAT_512["seedlm4"])
    for register, value, what in (("FORMAT", 8 | 9 << 9, "p must be an integer from 1 to 8, not 9"),
                                  ("CAPABILITY", CAPABILITY_512 | 7, "lanes_log2 = 7, not 4"),
                                  ("CAPABILITY", CAPABILITY_512 & ~(127 << 4), "addr_bits must be from 13 to"),
                                  ("ID", 0x5EED0004, "the engine has edition 4")):
        kept, device.registers[register] = device.registers[register], value
        with pytest.raises(DeviceError, match=what):
            found_engine(device)
        device.registers[register] = kept
    assert found_engine(device) == EngineConfig(SEEDLM4)


@pytest.mark.parametrize(("rows", "blocks", "what"), [
    (33, 1, "rows must be from 1 to 32"), (1, 9, "columns must be from 1 to 64"), (0, 1, "rows must be from 1 to 32"),
    (1, 0, "columns must be from 1 to 64")])
def test_shapes_beyond_the_engine(rows: int, blocks: int, what: str) -> None:
    device = FakeDevice(FORMAT_512["seedlm4"])
    with pytest.raises(UserError, match=f"a matrix of {rows} x {blocks * 8} does not fit the engine: {what}"):
        driver(device, max_rows=32, max_cols=64).multiply(matrix(rows, blocks), ones(8 * blocks))
    assert not device.written


def test_the_largest_shape_fits() -> None:
    driver(FakeDevice(FORMAT_512["seedlm4"]), max_rows=32, max_cols=64).multiply(matrix(32, 8), ones(64))


def test_memory_that_is_too_small() -> None:
    """A page of activations, one of weights, one of results; 1,024 results fill a page, and 1,025 take two."""
    driver(FakeDevice(FORMAT_512["seedlm4"], memory_bytes=3 * 4096)).multiply(matrix(), ones())
    device = FakeDevice(FORMAT_512["seedlm4"], memory_bytes=3 * 4096 - 64)
    with pytest.raises(UserError, match="a matrix of 20 x 24 needs 12288 bytes of memory; the device has 12224"):
        driver(device).multiply(matrix(), ones())
    assert not device.written
    driver(FakeDevice(FORMAT_512["seedlm4"], memory_bytes=10 * 4096)).multiply(matrix(1024, 8), ones(64))
    with pytest.raises(UserError, match="a matrix of 1025 x 64 needs 49152 bytes of memory; the device has 49088"):
        driver(FakeDevice(FORMAT_512["seedlm4"], memory_bytes=12 * 4096 - 64)).multiply(matrix(1025, 8), ones(64))


def test_another_format() -> None:
    with pytest.raises(DeviceError, match="a matrix in seedlm3 does not run on an engine for seedlm4"):
        driver(FakeDevice(FORMAT_512["seedlm4"])).multiply(matrix(fmt=SEEDLM3), ones(36))
    with pytest.raises(DeviceError, match="a matrix in fp16 does not run on an engine for seedlm4"):
        driver(FakeDevice(FORMAT_512["seedlm4"])).multiply(np.ones((2, 24), np.float16), ones())
    with pytest.raises(DeviceError, match="a matrix in seedlm4 does not run on an engine for int4"):
        driver(FakeDevice(FORMAT_512["int4"]), INT4).multiply(matrix(), ones())


def test_operands_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"activations must have shape \(24,\), not \(23,\)"):
        driver(FakeDevice(FORMAT_512["seedlm4"])).multiply(matrix(), ones(23))
    with pytest.raises(ValueError, match="activations contain NaN or infinity"):
        driver(FakeDevice(FORMAT_512["seedlm4"])).multiply(matrix(), np.full(24, np.inf, np.float16))
    with pytest.raises(ValueError, match="weights contain NaN or infinity"):
        driver(FakeDevice(FORMAT_512["fp16"]), FP16).multiply(np.full((2, 24), np.nan, np.float16), ones())


def started(device: FakeDevice) -> tuple[Driver, Loaded]:
    """A driver, and a chain of three products in the device's memory."""
    target = driver(device)
    return target, target.load((matrix(), ones()), (matrix(40), ones()), (matrix(16), ones()))


def test_a_run_that_does_not_end_is_aborted() -> None:
    device = FakeDevice(FORMAT_512["seedlm4"], BUSY)
    with pytest.raises(DeviceError, match=r"^the product of 20 x 24 in seedlm4 did not end within 1000448 cycles and "
                                          r"was aborted$"):
        driver(device).multiply(matrix(), ones())
    assert device.limits == [1_000_000 + 64 * 7, 1_000_000]
    target, loaded = started(device)
    with pytest.raises(DeviceError, match="the chain of 3 products in seedlm4 did not end within 1001344 cycles"):
        target.run(loaded)
    device.status = DONE
    target.run(loaded)


def test_a_run_that_cannot_be_aborted() -> None:
    device = FakeDevice(FORMAT_512["seedlm4"], BUSY, abortable=False)
    with pytest.raises(DeviceError, match="the product of 20 x 24 in seedlm4 did not end, not even after an abort: "
                                          "reset the device"):
        driver(device).multiply(matrix(), ones())


class Late(FakeDevice):
    """Its runs end between the last look at the interrupt and the abort."""

    def wait(self, limit: int) -> bool:
        super().wait(limit)
        self._end(DONE)
        return False


def test_a_run_that_ends_before_it_is_aborted() -> None:
    device = Late(FORMAT_512["seedlm4"], BUSY)
    assert driver(device).multiply(matrix(), ones()).counters.cycles == 100
    assert len(device.limits) == 1


def test_an_interrupt_that_is_not_the_end() -> None:
    """The interrupt is pending while the run goes on: it is no end, and the run is aborted."""
    device = FakeDevice(FORMAT_512["seedlm4"], BUSY)
    device._end = lambda status: device.registers.update(STATUS=status, IRQ_PENDING=1)  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="did not end within 1000448 cycles and was aborted"):
        driver(device).multiply(matrix(), ones())


@pytest.mark.parametrize("abortable", [True, False])
def test_a_key_press_ends_the_run(abortable: bool) -> None:
    device = FakeDevice(FORMAT_512["seedlm4"], BUSY, abortable=abortable)
    target, loaded = started(device)
    device.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        target.run(loaded)
    assert device.registers["STATUS"] == (DONE | CAUSE["aborted"] if abortable else BUSY)
    if abortable:
        device.status = DONE
        target.run(loaded)


def test_a_device_that_fails_in_the_wait_and_in_the_abort() -> None:
    class Unplugged(FakeDevice):
        """Nothing can be reached any more once a wait has begun."""

        def wait(self, limit: int) -> bool:
            self.registers.clear()
            raise DeviceError("unplugged")

    with pytest.raises(DeviceError, match=r"^unplugged$"):
        driver(Unplugged(FORMAT_512["seedlm4"], BUSY)).multiply(matrix(), ones())


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("base", [0, 5 << 40])
def test_chains_that_fail(cause: str, number: int, base: int) -> None:
    """Every cause, at every region of every matrix."""
    device = FakeDevice(FORMAT_512["seedlm4"], DONE | CAUSE[cause], memory_base=base)
    config = wide() if base else EngineConfig(SEEDLM4)
    device.registers["CAPABILITY"] = capability(config)
    target = Driver(device, config)
    loaded = target.load((matrix(), ones()), (matrix(40), ones()), (matrix(16), ones()))
    for name, start, size in loaded.matrices[number].regions(64):
        for address in {start, start + size - 1} if size else ():
            if cause[:3] == "bad" and not address:
                continue  # the descriptor in the registers
            device.registers |= {"ERROR_ADDR": address % (1 << 32), "ERROR_ADDR_HI": address >> 32}
            with pytest.raises(DeviceError, match=re.escape(
                    f"the product of {(20, 40, 16)[number]} x 24 in seedlm4, number {number + 1} of 3 in a chain, "
                    f"failed: {ERRORS[cause]} (address {address:#x}, {name})") + "$"):
                target.run(loaded)


def test_failures_without_a_region() -> None:
    device = FakeDevice(FORMAT_512["seedlm4"], DONE | CAUSE["bad_size"])
    target, loaded = started(device)
    with pytest.raises(DeviceError, match=re.escape(
            "the product of 20 x 24 in seedlm4, number 1 of 3 in a chain, failed: ROWS, BLOCKS or FACTOR_EXPONENT is "
            "out of range (the descriptor in the registers)")):
        target.run(loaded)
    device.status, device.registers["ERROR_ADDR_HI"] = DONE | CAUSE["timeout"], 3
    with pytest.raises(DeviceError, match=re.escape(
            "the chain of 3 products in seedlm4 failed: memory transferred nothing for as many cycles as WATCHDOG says "
            "(address 0x300000000)")):
        target.run(loaded)
    with pytest.raises(DeviceError, match=re.escape("the product of 20 x 24 in seedlm4 failed: memory transferred")):
        target.multiply(matrix(), ones())
    device.status |= CAUSE["read_error"]
    with pytest.raises(DeviceError, match="failed: memory answered a read with an error"):
        target.run(loaded)


def test_every_cause_is_tested() -> None:
    assert tuple(ERRORS) == CAUSES


def test_memory_that_owes_answers() -> None:
    """Nothing is written to memory until an earlier run has been settled."""
    device = FakeDevice(FORMAT_512["seedlm4"])
    target, device.settling = driver(device), 7
    target.load((matrix(), ones()))
    assert device.settling == 0
    device.settling, before = 1 << 30, bytes(device.memory)
    with pytest.raises(DeviceError, match="the device is still busy with an earlier run, which failed or was left"):
        target.load((matrix(), -ones()))
    assert device.memory == before


def test_a_run_that_another_program_left() -> None:
    """It is aborted before anything is written to memory or to the registers."""
    device = FakeDevice(FORMAT_512["seedlm4"])
    device.registers |= {"STATUS": BUSY, "IRQ_ENABLE": 1, "IRQ_PENDING": 0}
    driver(device).multiply(matrix(), ones())
    assert device.written[0] == "CONTROL"
    device = FakeDevice(FORMAT_512["seedlm4"], abortable=False)
    device.registers["STATUS"], before = BUSY, bytes(device.memory)
    with pytest.raises(DeviceError, match="the device is still busy with an earlier run, which failed or was left by "):
        driver(device).load((matrix(), ones()))
    assert device.memory == before


@pytest.mark.parametrize("name", COUNTERS)
def test_counters_that_have_stopped(name: str) -> None:
    device = FakeDevice(FORMAT_512["seedlm4"])
    device.registers[name.upper()] = (1 << 32) - 2
    driver(device).multiply(matrix(), ones())
    device.registers[name.upper()] = (1 << 32) - 1
    with pytest.raises(DeviceError, match=f"more cycles than the engine counts: {name.upper()} stopped at 4294967295"):
        driver(device).multiply(matrix(), ones())


def test_a_chain_in_memory() -> None:
    """The second product has the vector of the first; each descriptor leads to the next."""
    device, x = FakeDevice(FORMAT_512["seedlm4"]), ones()
    target, weights = driver(device), [matrix(20), matrix(40), matrix(16)]
    loaded = target.load((weights[0], x), (weights[1], x), (weights[2], ones()))
    product = target.run(loaded)
    assert [result.shape for result in product.results] == [(20,), (40,), (16,)]
    first, *others = loaded.matrices
    assert [placed.words["ACTIVATION_BEATS"] for placed in loaded.matrices] == [1, 0, 1]
    assert {name: device.registers[name] for name in DESCRIPTOR_REGISTERS} == {
        name: first.words[name] for name in DESCRIPTOR_REGISTERS}
    for before, placed in zip(loaded.matrices, others, strict=False):
        assert before.address("NEXT") == placed.descriptor_addr != 0
        assert device.read_memory(placed.descriptor_addr, 64) == descriptor_image(placed.words)
    assert others[-1].address("NEXT") == 0
    for placed, matrix_ in zip(loaded.matrices, weights, strict=True):
        image = weight_image(matrix_, EngineConfig(SEEDLM4))
        assert device.read_memory(placed.address("WEIGHT_ADDR"), len(image)) == image
    regions = sorted((start, size) for placed in loaded.matrices for _, start, size in placed.regions(64) if size)
    assert all(start + size <= following for (start, size), (following, _) in pairwise(regions))
    assert memory_needed(EngineConfig(SEEDLM4), [matrix_.shape for matrix_ in weights]) >= sum(regions[-1])


def test_a_chain_that_is_too_long() -> None:
    device = FakeDevice(FORMAT_512["seedlm4"], memory_bytes=6 * 4096)
    with pytest.raises(UserError, match="a chain of 2 matrices needs 28672 bytes of memory; the device has 24576"):
        driver(device).load((matrix(), ones()), (matrix(), ones()))


def wide() -> EngineConfig:
    """An engine with 64-bit addresses."""
    return EngineConfig(SEEDLM4, addr_bits=64)


def test_memory_above_four_gigabytes() -> None:
    """The arena begins at the first page of the device's memory, wherever that is."""
    base = (1 << 40) + 64
    device, weights = FakeDevice(FORMAT_512["seedlm4"], memory_base=base), [matrix(20), matrix(40)]
    device.registers["CAPABILITY"] = capability(wide())
    device.result = matvec.matvec(weights[0], ones()).astype("<f4").tobytes()
    target = Driver(device, wide())
    loaded = target.load(*((each, ones()) for each in weights))
    assert np.array_equal(target.run(loaded).results[0], matvec.matvec(weights[0], ones()))
    first, second = loaded.matrices
    assert first.address("ACTIVATION_ADDR") == (1 << 40) + 4096
    for name, low, high in (("NEXT", 0x7000, 0x100), ("WEIGHT_ADDR", 0x2000, 0x100)):
        assert first.words[name] == device.registers[name] == low
        assert first.words[f"{name}_HI"] == device.registers[f"{name}_HI"] == high
    assert device.read_memory(second.descriptor_addr, 64) == descriptor_image(second.words)
    image = weight_image(weights[1], wide())
    assert device.read_memory(second.address("WEIGHT_ADDR"), len(image)) == image


def test_a_layer_of_405_billion_weights_is_one_chain() -> None:
    """Llama 3.1 405B in FP16, 6.4 GB, above 2**40: every region is apart from the others and within the memory."""
    config, base = EngineConfig(FP16, addr_bits=48), 3 << 40
    shapes = [(16384, 16384), (1024, 16384), (1024, 16384), (16384, 16384), (53248, 16384), (53248, 16384),
              (16384, 53248)]
    operands = [Operand(rows, cols, activation_bytes(config, cols), image_bytes(config, (rows, cols)), 79)
                for rows, cols in shapes]
    loaded, size = place(config, operands, base)
    regions = sorted((start, size) for placed in loaded.matrices for _, start, size in placed.regions(64) if size)
    assert sum(size for _, size in regions) > 2 * sum(rows * cols for rows, cols in shapes) > 5 << 30
    assert all(start + size <= following for (start, size), (following, _) in pairwise(regions))
    assert regions[0][0] == base
    assert regions[-1][0] + regions[-1][1] <= base + size <= base + memory_needed(config, shapes)


def test_an_arena_beyond_the_addresses() -> None:
    """Memory that reaches beyond them is used as far as they go."""
    device = FakeDevice(FORMAT_512["seedlm4"], memory_base=(1 << 20) - 3 * 4096)
    driver(device, addr_bits=20).load((matrix(), ones()))
    device.memory_base += 4096
    with pytest.raises(UserError, match=r"^a matrix of 20 x 24 would lie at 0xfe000 to 0x100fff, beyond the 20-bit "
                                        r"addresses of the engine: use an engine with more of them, or load less at"):
        driver(device, addr_bits=20).load((matrix(), ones()))
    with pytest.raises(UserError, match=r"^a chain of 3 matrices would lie at 0xfe000 to 0x106fff, beyond"):
        driver(device, addr_bits=20).load(*[(matrix(), ones())] * 3)


def test_an_image_of_too_many_beats() -> None:
    config = EngineConfig(FP16, 32, max_rows=1 << 18)
    check_shape(config, ((1 << 17) - 2, 1 << 16))
    with pytest.raises(UserError, match="a matrix of 131072 x 65536 does not fit the engine: its image takes "
                                        "4294967296 beats, and the engine counts to 4294967295: split it"):
        check_shape(config, (1 << 17, 1 << 16))
