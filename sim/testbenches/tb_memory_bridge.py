"""The bridge to memory: words go to their places and come back, in aligned bursts that never wait for the link."""

import random
import zlib
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.link.memory_bridge import BURST_WORDS, Transfer, transfer_layout
from hw.link.protocol import WORD_BYTES
from sim.bench.axi_slave import AxiSlave
from sim.bench.streams import Stream, cycles, receive, send, start
from sim.tools.run import arguments

BURST_BYTES = BURST_WORDS * WORD_BYTES


class Link:
    """What stands before the bridge: transfers and the payload of requests; and the memory behind it."""

    def __init__(self, dut: Any, idle: float) -> None:
        (addr_bits,) = arguments()
        self._dut, self._transfer, self.words = dut, Stream(dut, "i"), Stream(dut, "words")
        self._layout = transfer_layout(addr_bits)
        self.memory = AxiSlave(dut, "axi", addr_bits, 8 * WORD_BYTES, idle)
        self.memory.memory[:] = random.randbytes(len(self.memory.memory))
        self.payload, self.written = b"", 0

    async def start(self) -> None:
        await start(self._dut, self._transfer.valid, self.words.ready, self._dut.word, *self.memory.inputs)
        self.memory.start()
        for task in (self._give_payload(), self._count_writes(), self._watch_reads()):
            cocotb.start_soon(task)

    async def _give_payload(self) -> None:
        """The word at an index follows it by 2 cycles, as that of a frame receiver does."""
        earlier = 0
        while True:
            await RisingEdge(self._dut.clk)
            self._dut.word.value = int.from_bytes(self.payload[WORD_BYTES * earlier:][:WORD_BYTES], "little")
            earlier = int(self._dut.index.value)

    async def _count_writes(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            self.written += int(self._dut.written.value)

    async def _watch_reads(self) -> None:
        beat = Stream(self._dut, "axi__r")
        while True:
            await RisingEdge(self._dut.clk)
            assert beat.ready.value or not beat.valid.value, "memory waits for the link"

    async def transfer(self, kind: Transfer, addr: int, count: int) -> None:
        await send(self._transfer, [self._layout.const({"kind": kind, "addr": addr, "count": count}).as_bits()])

    async def write(self, addr: int, content: bytes) -> None:
        self.payload, before = content, self.written
        await self.transfer(Transfer.WRITE, addr, len(content) // WORD_BYTES)
        while self.written == before:
            await RisingEdge(self._dut.clk)
        assert self.memory.memory[addr:addr + len(content)] == content, "written before memory acknowledged it"


def places(size: int) -> list[tuple[int, int]]:
    """Byte addresses and counts of words, some at random, some at the borders of bursts and of memory."""
    some = [(WORD_BYTES * random.randrange(size // 8), random.randrange(1, 50)) for _ in range(10)]
    return [(0, 1), (BURST_BYTES - 4, 2), (BURST_BYTES, BURST_WORDS), (size - 4, 1), (size - 100, 25), (64, 0), *some]


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.6], stall=[0.0, 0.9])
async def transfers(dut: Any, idle: float, stall: float) -> None:
    link = Link(dut, idle)
    await link.start()
    memory = link.memory.memory
    expected = bytearray(memory)
    for addr, count in places(len(memory)):
        content = random.randbytes(WORD_BYTES * count)
        await link.write(addr, content)
        expected[addr:addr + len(content)] = content
        assert memory == expected
        await link.transfer(Transfer.READ, addr, count)
        found = await receive(link.words, count, stall if count else 0.0)
        assert b"".join(word.to_bytes(WORD_BYTES, "little") for word in found) == content
        await link.transfer(Transfer.SUM, addr, count)
        assert await receive(link.words, 1, stall) == [zlib.crc32(content)]
    for addr, beats in link.memory.reads + link.memory.writes:
        assert addr % BURST_BYTES + beats * WORD_BYTES <= BURST_BYTES
    assert link.written == len(places(len(memory)))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_burst_is_requested_when_the_queue_is_empty(dut: Any) -> None:
    link = Link(dut, 0.0)
    await link.start()
    await link.transfer(Transfer.READ, 0, 3 * BURST_WORDS)
    for bursts in (1, 2, 3):
        await cycles(dut, 100)
        assert len(link.memory.reads) == bursts
        await receive(link.words, BURST_WORDS - 1, more=True)
        await cycles(dut, 20)
        assert len(link.memory.reads) == bursts
        await receive(link.words, 1, more=True)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_payload_stands_at_its_first_word_between_writes(dut: Any) -> None:
    """A write to a register finds its word there."""
    link = Link(dut, 0.0)
    await link.start()
    await link.write(0, bytes(WORD_BYTES * 20))
    await cycles(dut, 2)
    for kind in (None, Transfer.READ, Transfer.SUM):
        if kind is not None:
            await link.transfer(kind, 0, 1)
        for _ in range(20):
            assert dut.index.value == 0
            await RisingEdge(dut.clk)
        if kind is not None:
            await receive(link.words, 1)
