"""The driver against a device that is a dictionary of registers and a bytearray."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from golden import fp16, int4, matvec
from golden.block import CompressedMatrix
from golden.spec import FP16, INT4, SEEDLM3, SEEDLM4, BlockFormat, WeightFormat
from host.device.arena import memory_needed
from host.device.device import DeviceError
from host.device.driver import Counters, Driver
from host.errors import UserError
from host.packing.image import activation_image, weight_image
from hw.config import EngineConfig
from hw.dma.descriptor import WORDS, descriptor_image
from hw.registers.register_map import COUNTERS, OFFSETS
from sim.device.random_operands import random_group_matrix, random_matrix

FORMAT_512 = {"seedlm4": 8 | 3 << 9 | 16 << 13 | 4 << 18 | 9 << 21 | 16 << 25, "fp16": 1 | 9 << 21,
              "int4": 8 | 4 << 18 | 9 << 21 | 16 << 25}
DONE, READ_ERROR, WRITE_ERROR, NOT_FINITE, BAD_DESCRIPTOR, TIMEOUT = 2, 4, 8, 16, 32, 64


class FakeDevice:
    """Answers a start with ``status``, counters that tell their names' places, and ``result`` in memory."""

    def __init__(self, identity: int, status: int = DONE, interrupt: bool = True, memory_bytes: int = 1 << 16):
        self.memory_bytes, self.memory = memory_bytes, bytearray(b"\xAA" * memory_bytes)
        self.registers = {"ID": 0x5EED0002, "FORMAT": identity, "STATUS": 0}
        self.registers |= {name.upper(): 100 + i for i, name in enumerate(COUNTERS)}
        self.status, self.interrupt, self.result, self.limits = status, interrupt, b"", []
        self.written: list[str] = []

    def read_register(self, offset: int) -> int:
        return self.registers[self._name(offset)]

    def write_register(self, offset: int, value: int) -> None:
        name = self._name(offset)
        assert 0 <= value < 1 << 32
        self.written.append(name)
        self.registers[name] = value
        if name == "CONTROL" and value == 1:
            self.registers["STATUS"] = self.status
            address = self.registers["RESULT_ADDR"]
            self.memory[address:address + len(self.result)] = self.result

    def write_memory(self, address: int, content: bytes) -> None:
        assert address % 64 == 0
        assert address + len(content) <= self.memory_bytes
        self.memory[address:address + len(content)] = content

    def read_memory(self, address: int, count: int) -> bytes:
        return bytes(self.memory[address:address + count])

    def wait(self, limit: int) -> bool:
        self.limits.append(limit)
        return self.interrupt

    @staticmethod
    def _name(offset: int) -> str:
        return next(name for name, at in OFFSETS.items() if at == offset)


def matrix(rows: int = 20, blocks: int = 3, fmt: BlockFormat = SEEDLM4, bias: int = -4) -> CompressedMatrix:
    return replace(random_matrix(fmt, rows, blocks * fmt.c, np.random.default_rng(rows)), exponent_bias=bias)


def driver(device: FakeDevice, fmt: WeightFormat = SEEDLM4, **config: int) -> Driver:
    return Driver(device, EngineConfig(fmt, **config))


def ones(count: int = 24) -> np.ndarray:
    return np.ones(count, np.float16)


def test_a_compressed_product() -> None:
    device, weights, x = FakeDevice(FORMAT_512["seedlm4"]), matrix(), np.linspace(-1, 1, 24).astype(np.float16)
    device.result = matvec.matvec(weights, x).astype("<f4").tobytes()
    product = driver(device).multiply(weights, x)
    assert product.y.dtype == np.float32
    assert np.array_equal(product.y, matvec.matvec(weights, x))
    assert product.counters == Counters(cycles=100, starved=101, refresh=102, stalled=103, drain=104, beats=105,
                                        bytes_read=106, bytes_written=107)
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
    assert device.written[-1] == "CONTROL"
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
    """150 columns are two groups, 256 activations."""
    device, x = FakeDevice(FORMAT_512["int4"] + (act_bits - 16 << 25)), np.linspace(-2, 2, 150).astype(np.float16)
    weights = random_group_matrix(INT4, 17, 150, np.random.default_rng(0))
    device.result = int4.matvec(weights, x, act_bits).astype("<f4").tobytes()
    product = driver(device, INT4, act_bits=act_bits).multiply(weights, x)
    assert np.array_equal(product.y, int4.matvec(weights, x, act_bits))
    registers = device.registers
    assert (registers["ROWS"], registers["BLOCKS"]) == (17, 32)
    assert (registers["ACTIVATION_BEATS"], registers["WEIGHT_BEATS"]) == (8, 66)
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
    with pytest.raises(DeviceError, match="ID register reads 0xdeadbeef where a seedlm-fpga engine has 0x5eed0002"):
        driver(device)


@pytest.mark.parametrize(("fmt", "bus_bits", "message"), [
    (SEEDLM3, 512, "reads 0x21320608; seedlm3 on a 512-bit bus has 0x2132080c: load the matching bitstream"),
    (FP16, 512, "reads 0x21320608; fp16 on a 512-bit bus has 0x1200001: load the matching bitstream"),
    (INT4, 512, "reads 0x21320608; int4 on a 512-bit bus has 0x21300008: load the matching bitstream"),
    (SEEDLM4, 256, "reads 0x21320608; seedlm4 on a 256-bit bus has 0x21120608: load the matching bitstream")])
def test_an_engine_for_something_else(fmt: WeightFormat, bus_bits: int, message: str) -> None:
    with pytest.raises(DeviceError, match=f"the engine's FORMAT register {message}"):
        driver(FakeDevice(FORMAT_512["seedlm4"]), fmt, bus_bits=bus_bits)


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


def no_interrupt() -> FakeDevice:
    return FakeDevice(FORMAT_512["seedlm4"], interrupt=False)


def with_status(status: int) -> Callable[[], FakeDevice]:
    return lambda: FakeDevice(FORMAT_512["seedlm4"], status)


@pytest.mark.parametrize("make", [no_interrupt, with_status(1), with_status(0)])
def test_runs_that_do_not_end(make: Callable[[], FakeDevice]) -> None:
    with pytest.raises(DeviceError, match="the product of 20 x 24 in seedlm4 did not end"):
        driver(make()).multiply(matrix(), ones())
    target = driver(make())
    loaded = target.load((matrix(), ones()), (matrix(), ones()))
    with pytest.raises(DeviceError, match="the chain of 2 products in seedlm4 did not end"):
        target.run(loaded)


@pytest.mark.parametrize(("status", "address", "message"), [
    (READ_ERROR, 0x1000, "memory answered a read with an error at address 0x1000 (weights)"),
    (WRITE_ERROR, 0x2000, "memory answered a write with an error at address 0x2000 (results)"),
    (NOT_FINITE, 0, "the device met an activation that is NaN or infinite at address 0x0 (activations)"),
    (TIMEOUT, 0x9000, "memory gave no answer at address 0x9000"),
    (READ_ERROR | TIMEOUT, 0x1000, "memory answered a read with an error at address 0x1000 (weights)")])
def test_runs_that_fail(status: int, address: int, message: str) -> None:
    device = FakeDevice(FORMAT_512["seedlm4"], DONE | status)
    device.registers["ERROR_ADDR"] = address
    with pytest.raises(DeviceError, match=re.escape(f"the product of 20 x 24 in seedlm4 failed: {message}") + "$"):
        driver(device).multiply(matrix(), ones())


def test_chains_that_fail() -> None:
    device = FakeDevice(FORMAT_512["seedlm4"], DONE | BAD_DESCRIPTOR)
    target = driver(device)
    loaded = target.load((matrix(), ones()), (matrix(40), ones()))
    device.registers["ERROR_ADDR"] = loaded.matrices[1].descriptor_addr
    with pytest.raises(DeviceError, match=re.escape(
            "the product of 40 x 24 in seedlm4, number 2 of 2 in a chain, failed: the device met a descriptor that is "
            f"not for it at address {loaded.matrices[0].words['NEXT']:#x} (the descriptor)")):
        target.run(loaded)


def test_a_chain_in_memory() -> None:
    """The second product has the vector of the first; each descriptor leads to the next."""
    device, x = FakeDevice(FORMAT_512["seedlm4"]), ones()
    target, weights = driver(device), [matrix(20), matrix(40), matrix(16)]
    loaded = target.load((weights[0], x), (weights[1], x), (weights[2], ones()))
    product = target.run(loaded)
    assert [result.shape for result in product.results] == [(20,), (40,), (16,)]
    first, *others = loaded.matrices
    assert [placed.words["ACTIVATION_BEATS"] for placed in loaded.matrices] == [1, 0, 1]
    assert {name: device.registers[name] for name in WORDS} == first.words
    for before, placed in zip(loaded.matrices, others, strict=False):
        assert before.words["NEXT"] == placed.descriptor_addr != 0
        assert device.read_memory(placed.descriptor_addr, 64) == descriptor_image(placed.words)
    assert others[-1].words["NEXT"] == 0
    for placed, matrix_ in zip(loaded.matrices, weights, strict=True):
        image = weight_image(matrix_, EngineConfig(SEEDLM4))
        assert device.read_memory(placed.words["WEIGHT_ADDR"], len(image)) == image
    regions = sorted((start, size) for placed in loaded.matrices for _, start, size in placed.regions(64) if size)
    assert all(start + size <= following for (start, size), (following, _) in pairwise(regions))
    assert memory_needed(EngineConfig(SEEDLM4), [matrix_.shape for matrix_ in weights]) >= sum(regions[-1])


def test_a_chain_that_is_too_long() -> None:
    device = FakeDevice(FORMAT_512["seedlm4"], memory_bytes=6 * 4096)
    with pytest.raises(UserError, match="a chain of 2 matrices needs 28672 bytes of memory; the device has 24576"):
        driver(device).load((matrix(), ones()), (matrix(), ones()))
