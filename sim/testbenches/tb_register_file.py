"""Register file: the map as documented, access rights, the start strobe, how long accesses take."""

import random
from itertools import pairwise
from typing import Any

import cocotb
import pytest
from cocotb.triggers import RisingEdge

from hw.dma.descriptor import WORDS
from hw.registers.register_map import ADDR_BITS, OFFSETS, REGISTERS
from sim.bench.register_bus import BusError, RegisterBus
from sim.bench.streams import Stream, start


@cocotb.test()
async def registers_behave_as_mapped(dut: Any) -> None:
    bus = RegisterBus(dut, ADDR_BITS)
    read_only = [register for register in REGISTERS if register.access == "ro"]
    await start(dut, *bus.inputs, dut.load,
                *(getattr(dut, register.name.lower()) for register in read_only))
    starts: list[int] = []

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk)
            starts.append(int(dut.start.value))

    cocotb.start_soon(watch())
    values = {}
    for register in REGISTERS:
        if register.name == "CONTROL":
            continue
        values[register.name] = random.getrandbits(32)
        if register.access == "ro":
            getattr(dut, register.name.lower()).value = values[register.name]
            with pytest.raises(BusError):
                await bus.write(register.offset, 1)
            continue
        await bus.write(register.offset, values[register.name])
    for name, value in values.items():
        assert await bus.read(OFFSETS[name]) == value, name
        if OFFSETS[name] in {r.offset for r in REGISTERS if r.access == "rw"}:
            assert int(getattr(dut, name.lower()).value) == value, name
    assert sum(starts) == 0
    await bus.write(OFFSETS["CONTROL"], 0)
    assert sum(starts) == 0
    await bus.write(OFFSETS["CONTROL"], 1)
    assert sum(starts) == 1
    assert await bus.read(OFFSETS["CONTROL"]) == 0


@cocotb.test()
async def descriptors_overwrite_registers(dut: Any) -> None:
    bus = RegisterBus(dut, ADDR_BITS)
    await start(dut, *bus.inputs, dut.load)
    for register in REGISTERS:
        if register.access == "rw" and register.name != "CONTROL":
            assert await bus.read(register.offset) == register.init, f"{register.name} after reset"
    values = {name: random.getrandbits(32) for name in WORDS if name != "FORMAT"}
    held = dict.fromkeys(values, 0)
    for chosen in (["NEXT", "ROWS"], list(values)):
        dut.words.value = sum(value << 32 * WORDS.index(name) for name, value in values.items())
        dut.load.value = sum(1 << WORDS.index(name) for name in chosen)
        await RisingEdge(dut.clk)
        dut.load.value = 0
        held |= {name: values[name] for name in chosen}
        for name, value in held.items():
            assert await bus.read(OFFSETS[name]) == value, name


@cocotb.test()
async def unmapped_addresses_are_errors(dut: Any) -> None:
    bus = RegisterBus(dut, ADDR_BITS)
    await start(dut, *bus.inputs, dut.load)
    address = REGISTERS[-1].offset + 4
    with pytest.raises(BusError, match=f"{address:#x}"):
        await bus.read(address)
    with pytest.raises(BusError, match=f"{address:#x}"):
        await bus.write(address, 1)


@cocotb.test()
@cocotb.parametrize((("requests", "response", "latency", "interval"), [
    (("aw", "w"), "b", 2, 3), (("ar",), "r", 3, 4)]))
async def accesses_take_as_long_as_documented(dut: Any, requests: tuple[str, ...], response: str, latency: int,
                                              interval: int) -> None:
    """Requests are always offered and responses always accepted."""
    await start(dut, *RegisterBus(dut, ADDR_BITS).inputs, dut.load)
    offered, answered = [Stream(dut, f"axil__{name}") for name in requests], Stream(dut, f"axil__{response}")
    for stream in offered:
        stream.valid.value = 1
        stream.payload.value = 0
    answered.ready.value = 1
    accepted, responses = [], []
    for cycle in range(10 * interval):
        await RisingEdge(dut.clk)
        if all(stream.valid.value and stream.ready.value for stream in offered):
            accepted.append(cycle)
        if answered.valid.value:
            responses.append(cycle)
    assert len(accepted) >= 9
    assert {after - before for before, after in pairwise(accepted)} == {interval}
    assert {after - before for before, after in zip(accepted, responses, strict=False)} == {latency}
