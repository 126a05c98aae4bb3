"""Register file: the map as documented, access rights, strobes, the interrupt, and how long accesses take."""

import random
from itertools import pairwise
from typing import Any

import cocotb
import pytest
from cocotb.triggers import RisingEdge

from hw.parts.axi import AXI4LiteSignature, Resp
from hw.registers.register_map import ABORT, ADDR_BITS, ADDRESSES, DESCRIPTOR_REGISTERS, OFFSETS, REGISTERS, START
from sim.bench.register_bus import BusError, RegisterBus
from sim.bench.streams import Stream, cycles, start
from sim.tools.run import arguments

BY_ACCESS = {access: [register for register in REGISTERS if register.access == access]
             for access in ("ro", "rw", "rw always", "wo", "w1c")}


def _kept(name: str, value: int) -> int:
    """What a register keeps of ``value``: addresses have no more bits than the memory bus."""
    addr_bits, _ = arguments()
    if name.removesuffix("_HI") not in ADDRESSES:
        return value
    return value & ((1 << addr_bits) - 1) >> 32 * name.endswith("_HI") & 0xFFFFFFFF


def _check_excess(dut: Any, written: dict[str, int]) -> None:
    """Check that bits that addresses have not are known to have been written, by all that was written."""
    for n, name in enumerate(ADDRESSES):
        wanted = any(written[half] != _kept(half, written[half]) for half in (name, f"{name}_HI"))
        assert int(dut.excess.value) >> n & 1 == wanted, name


async def _open(dut: Any) -> RegisterBus:
    """The bus of a register file behind a reset, without a run."""
    bus = RegisterBus(dut, ADDR_BITS)
    await start(dut, *bus.inputs, dut.load, dut.busy, dut.ended,
                *(getattr(dut, register.name.lower()) for register in BY_ACCESS["ro"]))
    return bus


def _count(dut: Any, name: str) -> list[int]:
    """The cycles in which an output is 1 from now on."""
    found: list[int] = []

    async def watch() -> None:
        cycle = 0
        while True:
            await RisingEdge(dut.clk)
            cycle += 1
            if getattr(dut, name).value:
                found.append(cycle)

    cocotb.start_soon(watch())
    return found


@cocotb.test()
async def registers_behave_as_mapped(dut: Any) -> None:
    bus = await _open(dut)
    starts, aborts = _count(dut, "start"), _count(dut, "abort")
    values = {}
    for register in BY_ACCESS["ro"]:
        values[register.name] = random.getrandbits(32)
        getattr(dut, register.name.lower()).value = values[register.name]
        with pytest.raises(BusError):
            await bus.write(register.offset, 1)
    for register in BY_ACCESS["rw"]:
        assert await bus.read(register.offset) == register.init, f"{register.name} after reset"
        value = random.getrandbits(32)
        await bus.write(register.offset, value)
        values[register.name] = _kept(register.name, value)
    for name, value in values.items():
        assert await bus.read(OFFSETS[name]) == value, name
    for register in BY_ACCESS["rw"]:
        assert int(getattr(dut, register.name.lower()).value) == values[register.name]
    await bus.write(OFFSETS["CONTROL"], 0)
    assert (starts, aborts) == ([], [])
    await bus.write(OFFSETS["CONTROL"], START)
    assert (len(starts), len(aborts)) == (1, 0)
    await bus.write(OFFSETS["CONTROL"], ABORT)
    assert (len(starts), len(aborts)) == (1, 1)
    await bus.write(OFFSETS["CONTROL"], START | ABORT)
    assert (len(starts), len(aborts)) == (1, 2), "an abort starts nothing"
    assert await bus.read(OFFSETS["CONTROL"]) == 0


@cocotb.test()
async def writes_in_a_run_are_refused(dut: Any) -> None:
    bus = await _open(dut)
    for register in BY_ACCESS["rw"]:
        await bus.write(register.offset, random.getrandbits(32))
    before = {register.name: await bus.read(register.offset) for register in BY_ACCESS["rw"]}
    starts, aborts = _count(dut, "start"), _count(dut, "abort")
    dut.busy.value = 1
    for register in BY_ACCESS["rw"]:
        with pytest.raises(BusError):
            await bus.write(register.offset, ~before[register.name] & 0xFFFFFFFF)
        assert await bus.read(register.offset) == before[register.name], register.name
    with pytest.raises(BusError):
        await bus.write(OFFSETS["CONTROL"], START)
    await bus.write(OFFSETS["CONTROL"], ABORT)
    assert (len(starts), len(aborts)) == (0, 1)
    for name in ("IRQ_ENABLE", "IRQ_PENDING"):
        await bus.write(OFFSETS[name], 1)
    assert await bus.read(OFFSETS["IRQ_ENABLE"]) == 1


@cocotb.test()
async def strobes_choose_bytes(dut: Any) -> None:
    bus = await _open(dut)
    starts, aborts = _count(dut, "start"), _count(dut, "abort")
    written = {register.name: register.init for register in BY_ACCESS["rw"]}
    for register in BY_ACCESS["rw"]:
        name = register.name
        for strobes in random.sample(range(16), 16):
            value = random.choice([0, 1, 1 << 31, random.getrandbits(32)])
            mask = sum(0xFF << 8 * n for n in range(4) if strobes >> n & 1)
            await bus.write(register.offset, value, strobes)
            written[name] = written[name] & ~mask | value & mask
            assert await bus.read(register.offset) == _kept(name, written[name]), f"{name} with strobes {strobes:#b}"
            _check_excess(dut, written)
    dut.ended.value = 1
    await cycles(dut, 1)
    dut.ended.value = 0
    for name in ("CONTROL", "IRQ_ENABLE", "IRQ_PENDING"):
        for strobes in range(0, 16, 2):
            await bus.write(OFFSETS[name], 0xFFFFFFFF, strobes)
    assert (starts, aborts) == ([], [])
    assert (await bus.read(OFFSETS["IRQ_ENABLE"]), await bus.read(OFFSETS["IRQ_PENDING"])) == (0, 1)


@cocotb.test()
async def interrupts_are_enabled_and_acknowledged(dut: Any) -> None:
    bus = await _open(dut)
    enable, pending = OFFSETS["IRQ_ENABLE"], OFFSETS["IRQ_PENDING"]
    dut.ended.value = 1
    await cycles(dut, 1)
    dut.ended.value = 0
    assert await bus.read(pending) == 1
    assert not dut.irq.value, "it is not enabled after a reset"
    await bus.write(enable, 0xFFFFFFFF)
    assert (await bus.read(enable), int(dut.irq.value)) == (1, 1), "bits of no field read as 0"
    for value in (0, 0xFFFFFFFE):
        await bus.write(pending, value)
        assert (await bus.read(pending), int(dut.irq.value)) == (1, 1)
    await bus.write(pending, 1)
    assert (await bus.read(pending), int(dut.irq.value)) == (0, 0)
    # An end in any cycle of an acknowledgement is told.
    for before in range(6):
        write = cocotb.start_soon(bus.write(pending, 1))
        await cycles(dut, before)
        dut.ended.value = 1
        await cycles(dut, 1)
        dut.ended.value = 0
        seen = _count(dut, "irq")
        await write
        await cycles(dut, 4)
        assert seen, f"an end {before} cycles after the start of a write"
        await bus.write(pending, 1)
        await cycles(dut, 2)
        assert not dut.irq.value


@cocotb.test()
async def descriptors_overwrite_registers(dut: Any) -> None:
    _, beat_words = arguments()
    bus = await _open(dut)
    held = dict.fromkeys(DESCRIPTOR_REGISTERS, 0)
    dut.busy.value = 1
    for share in (0.5, 1.0):
        for first in range(0, len(DESCRIPTOR_REGISTERS), beat_words):
            names = DESCRIPTOR_REGISTERS[first:first + beat_words]
            words = [random.getrandbits(32) for _ in range(beat_words)]
            chosen = [name for name in names if random.random() < share]
            dut.words.value = sum(word << 32 * n for n, word in enumerate(words))
            dut.load.value = sum(1 << DESCRIPTOR_REGISTERS.index(name) for name in chosen)
            await RisingEdge(dut.clk)
            dut.load.value = 0
            held |= {name: words[DESCRIPTOR_REGISTERS.index(name) % beat_words] for name in chosen}
        dut.words.value = random.getrandbits(32 * beat_words)
        for name, value in held.items():
            assert await bus.read(OFFSETS[name]) == _kept(name, value), name
        _check_excess(dut, held)


@cocotb.test()
async def unmapped_addresses_are_errors(dut: Any) -> None:
    bus = await _open(dut)
    for address in range(REGISTERS[-1].offset + 4, 1 << ADDR_BITS, 4):
        with pytest.raises(BusError, match=f"{address:#x}"):
            await bus.read(address)
        with pytest.raises(BusError, match=f"{address:#x}"):
            await bus.write(address, 1)


@cocotb.test()
async def responses_stay_until_they_are_accepted(dut: Any) -> None:
    """An access that is answered in another way is offered meanwhile."""
    await _open(dut)
    layouts = {name: member.signature.members["payload"].shape
               for name, member in AXI4LiteSignature(ADDR_BITS).members.items()}
    places = [OFFSETS["STATUS"], OFFSETS["WATCHDOG"], REGISTERS[-1].offset + 4, OFFSETS["WATCHDOG"]]
    for requests, response in ((("aw", "w"), "b"), (("ar",), "r")):
        streams, answered = {name: Stream(dut, f"axil__{name}") for name in requests}, Stream(dut, f"axil__{response}")

        def offer(place: int, streams: dict[str, Stream] = streams) -> None:
            values = {"addr": place, "data": 1, "strb": 15}
            for name, stream in streams.items():
                stream.payload.value = layouts[name].const({field: values[field] for field, _ in layouts[name]}
                                                           ).as_bits()
                stream.valid.value = 1

        offer(places[0])
        resps = []
        for following in (*places[1:], places[0]):
            await RisingEdge(dut.clk)
            while not answered.valid.value:
                await RisingEdge(dut.clk)
            payload = int(answered.payload.value)
            resps.append(layouts[response].from_bits(payload).resp)
            offer(following)
            for _ in range(12):
                await RisingEdge(dut.clk)
                assert answered.valid.value
                assert int(answered.payload.value) == payload
            answered.ready.value = 1
            await RisingEdge(dut.clk)
            answered.ready.value = 0
        assert resps == [Resp.OKAY if response == "r" else Resp.SLVERR, Resp.OKAY, Resp.SLVERR, Resp.OKAY]
        for stream in streams.values():
            stream.valid.value = 0
        await cycles(dut, 10)


@cocotb.test()
@cocotb.parametrize((("requests", "response", "latency", "interval"), [
    (("aw", "w"), "b", 2, 3), (("ar",), "r", 3, 4)]))
async def accesses_take_as_long_as_documented(dut: Any, requests: tuple[str, ...], response: str, latency: int,
                                              interval: int) -> None:
    """Requests are always offered and responses always accepted."""
    await _open(dut)
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
