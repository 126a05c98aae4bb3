"""Arbiter: each master gets all of its own data and answers, in order, and its turn."""

import random
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, gather

from hw.parts.axi import AXI4Signature, Burst, Resp, beat_size
from hw.parts.axi_arbiter import OUTSTANDING
from sim.bench.axi_slave import AxiSlave
from sim.bench.streams import Stream, cycles, receive, send, start
from sim.tools.run import arguments

NAMES = ("first", "second")
FAILING = 0x100
"""Bursts that start at an address with this bit fail."""
Bursts = Sequence[tuple[int, int]]
"""Addresses and beats."""


class Master:
    """A master that uses its half of memory; ``stall`` is the probability that it is not ready for data or answers."""

    def __init__(self, dut: Any, name: str, stall: float) -> None:
        addr_bits, data_bits = arguments()
        self._width, self._stall = data_bits // 8, stall
        members = AXI4Signature(addr_bits, data_bits).members
        self._layouts = {channel: member.signature.members["payload"].shape for channel, member in members.items()}
        self.streams = {channel: Stream(dut, f"{name}__{channel}") for channel in members}
        self._base = NAMES.index(name) << addr_bits - 1
        self.half = range(self._base, self._base + (1 << addr_bits - 1))

    @property
    def inputs(self) -> list[Any]:
        """Handles that are to be 0 during reset."""
        return [*(self.streams[channel].valid for channel in ("ar", "aw", "w")),
                *(self.streams[channel].ready for channel in ("r", "b"))]

    def _bits(self, channel: str, **fields: Any) -> int:
        """Payload of a channel."""
        return self._layouts[channel].const(fields).as_bits()

    def bursts(self, count: int) -> list[tuple[int, int]]:
        """Random bursts, as address and beats."""
        places = [self._base + 4 * self._width * random.randrange(len(self.half) // (4 * self._width) - 4)
                  for _ in range(count)]
        return [(place, random.randint(1, min(16, (4096 - place % 4096) // self._width))) for place in places]

    def request(self, channel: str, bursts: Bursts, idle: float = 0.0) -> Any:
        """Start to request ``bursts`` in the address channel ``channel``; returns the task."""
        return cocotb.start_soon(send(self.streams[channel], [self._bits(
            channel, addr=addr, len=beats - 1, size=beat_size(8 * self._width), burst=Burst.INCR)
            for addr, beats in bursts], idle))

    async def read(self, bursts: Bursts, memory: bytes, idle: float = 0.0) -> None:
        """Read ``bursts``, and find what is in ``memory``."""
        self.request("ar", bursts, idle)
        wanted = [self._bits("r", data=int.from_bytes(memory[place:place + self._width], "little"), last=left == 1,
                             resp=Resp.SLVERR if addr & FAILING else Resp.OKAY)
                  for addr, beats in bursts for left, place in zip(
                      range(beats, 0, -1), range(addr, addr + beats * self._width, self._width), strict=True)]
        assert await receive(self.streams["r"], len(wanted), self._stall) == wanted

    async def write(self, bursts: Bursts, memory: bytearray, idle: float = 0.0) -> None:
        """Write random bytes with random strobes, and do the same to ``memory``."""
        self.request("aw", bursts, idle)
        words = []
        for addr, beats in bursts:
            for left, place in zip(range(beats, 0, -1), range(addr, addr + beats * self._width, self._width),
                                   strict=True):
                data, strobe = random.randbytes(self._width), random.getrandbits(self._width)
                words.append(self._bits("w", data=int.from_bytes(data, "little"), strb=strobe, last=left == 1))
                for number in range(self._width):
                    if strobe >> number & 1 and not addr & FAILING:
                        memory[place + number] = data[number]
        cocotb.start_soon(send(self.streams["w"], words, idle))
        wanted = [self._bits("b", resp=Resp.SLVERR if addr & FAILING else Resp.OKAY) for addr, _ in bursts]
        assert await receive(self.streams["b"], len(bursts), self._stall) == wanted


async def _start(dut: Any, idle: float = 0.0, stall: float = 0.0) -> tuple[AxiSlave, list[Master]]:
    """Reset the design; returns the slave, which answers, and both masters."""
    addr_bits, data_bits = arguments()
    slave = AxiSlave(dut, "axi", addr_bits, data_bits, idle, failing=lambda addr: bool(addr & FAILING))
    masters = [Master(dut, name, stall) for name in NAMES]
    await start(dut, *slave.inputs, *(handle for master in masters for handle in master.inputs))
    slave.memory[:] = random.randbytes(len(slave.memory))
    slave.start()
    return slave, masters


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5], pause=[0.0, 0.9])
async def each_master_gets_its_own_data(dut: Any, idle: float, stall: float, pause: float) -> None:
    """And its own errors. Each cycle the slave waits with probability ``idle``, the masters with ``stall``, and between
    two requests with ``pause``."""
    slave, masters = await _start(dut, idle, stall)
    requested, wanted = [master.bursts(20) for master in masters], bytearray(slave.memory)
    jobs = list(zip(masters, requested, strict=True))
    await gather(*(master.read(bursts, bytes(wanted), pause) for master, bursts in jobs))
    await gather(*(master.write(bursts, wanted, pause) for master, bursts in jobs))
    assert slave.memory == wanted
    for found in (slave.reads, slave.writes):
        assert [[burst for burst in found if burst[0] in master.half] for master in masters] == requested
    await gather(masters[0].read(masters[0].bursts(20), bytes(wanted), pause),
                 masters[1].write(masters[1].bursts(20), wanted, pause))
    assert slave.memory == wanted


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5])
async def turns_are_taken(dut: Any, idle: float) -> None:
    """Both masters have one burst each while both request, and one that requests alone does not wait."""
    slave, masters = await _start(dut, idle)
    requested = [master.bursts(count) for master, count in zip(masters, (10, 30), strict=True)]
    wanted = bytearray(slave.memory)
    await gather(*(master.read(bursts, bytes(wanted)) for master, bursts in zip(masters, requested, strict=True)))
    await gather(*(master.write(bursts, wanted) for master, bursts in zip(masters, requested, strict=True)))
    for bursts in (slave.reads, slave.writes):
        turns = [addr in masters[1].half for addr, _ in bursts]
        assert turns[:20] == [False, True] * 10
        assert all(turns[20:])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_lone_master_loses_no_cycle(dut: Any) -> None:
    """Its requests reach the slave in the cycle in which they are made, but for the first of another master. As many
    bursts are outstanding as allowed, and its data follow each other without a gap."""
    slave, masters = await _start(dut)
    for number, master in enumerate((*masters, masters[1])):
        master.streams["ar"].valid.value = 1
        await RisingEdge(dut.clk)
        assert dut.axi__ar__valid.value == (number != 1)
        while not master.streams["ar"].ready.value:
            await RisingEdge(dut.clk)
        master.streams["ar"].valid.value = 0
        master.streams["r"].ready.value = 1
        await cycles(dut, 20)
        master.streams["r"].ready.value = 0
    bursts = [(masters[1].half.start, 1)] * (OUTSTANDING + 5)
    slave.reads.clear()
    requesting = masters[1].request("ar", bursts)
    await cycles(dut, 3 * OUTSTANDING)
    assert len(slave.reads) == OUTSTANDING
    masters[1].streams["r"].ready.value = 1
    await requesting
    await cycles(dut, 20)
    assert len(slave.reads) == len(bursts)
    beats = ""

    async def watch() -> None:
        nonlocal beats
        while True:
            await RisingEdge(dut.clk)
            beats += ".X"[bool(dut.axi__w__valid.value and dut.axi__w__ready.value)]

    cocotb.start_soon(watch())
    await masters[1].write([(masters[1].half.start, 16)] * 3, bytearray(slave.memory))
    assert beats.strip(".") == "X" * 48


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reader_that_stops_holds_up_no_write(dut: Any) -> None:
    slave, masters = await _start(dut)
    masters[0].request("ar", masters[0].bursts(4))
    await cycles(dut, 20)
    wanted = bytearray(slave.memory)
    await gather(*(master.write(master.bursts(8), wanted) for master in masters))
    assert slave.memory == wanted
