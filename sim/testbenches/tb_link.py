"""The link from the pins of its line to both of its buses: requests do what they say, once, or nothing at all."""

import random
import struct
import zlib
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, Timer, with_timeout

from hw.link.memory_bridge import BURST_WORDS
from hw.link.protocol import (
    IDENTITY,
    LINK_ID,
    SILENCE_BITS,
    START_REQUEST,
    START_RESPONSE,
    WORD_BYTES,
    LinkCommand,
    LinkStatus,
)
from hw.registers.register_map import ADDR_BITS
from sim.bench.axi_lite_slave import AxiLiteSlave
from sim.bench.axi_slave import AxiSlave
from sim.bench.streams import Stream, start
from sim.tools.run import arguments

BAD_REGISTER = 0x40
"""Address of the register whose accesses are answered with an error."""


class Host:
    """The far end of the line, and both buses."""

    def __init__(self, dut: Any, idle: float = 0.0) -> None:
        self.divisor, self.addr_bits, self.clock_hz = arguments()
        self._dut, self.sequence, self._received = dut, random.getrandbits(8), bytearray()
        self.memory = AxiSlave(dut, "axi", self.addr_bits, 8 * WORD_BYTES, idle)
        self.registers = AxiLiteSlave(dut, "axil", ADDR_BITS, idle, frozenset({BAD_REGISTER}))

    async def start(self) -> None:
        self._dut.rx.value = 1
        await start(self._dut, *self.memory.inputs, *self.registers.inputs)
        self.memory.start()
        self.registers.start()
        cocotb.start_soon(self._listen())
        await Timer(3, "ns")  # so that the line changes between edges of the clock

    async def _bits(self, count: float) -> None:
        await Timer(round(count * 10 * self.divisor), "ns")

    async def _listen(self) -> None:
        while True:
            await FallingEdge(self._dut.tx)
            await self._bits(0.5)
            byte = 0
            for number in range(8):
                await self._bits(1)
                byte |= int(self._dut.tx.value) << number
            await self._bits(1)
            assert self._dut.tx.value, "no stop bit"
            self._received.append(byte)

    async def send(self, data: bytes | bytearray) -> None:
        """Send bytes over the line."""
        for byte in data:
            for value in (0, *(byte >> number & 1 for number in range(8)), 1):
                self._dut.rx.value = value
                await self._bits(1)

    def frame(self, command: LinkCommand | int, count: int, address: int = 0, content: bytes = b"", *,
              repeat: bool = False) -> bytes:
        """The bytes of a request. A ``repeat`` has the sequence number of the request before."""
        self.sequence = (self.sequence + (not repeat)) % 256
        code = command.value if isinstance(command, LinkCommand) else command
        body = struct.pack("<BBHI", self.sequence, code, count, address) + content
        return bytes([START_REQUEST]) + body + zlib.crc32(body).to_bytes(4, "little")

    async def _frame_end(self) -> None:
        while len(self._received) < 5 or \
                len(self._received) < 9 + WORD_BYTES * int.from_bytes(self._received[3:5], "little"):
            await self._bits(1)

    async def response(self) -> tuple[LinkStatus, bytes]:
        """Status and payload of the next response, whose frame must be right."""
        await with_timeout(self._frame_end(), 100_000 * self.divisor, "ns")
        frame, self._received = bytes(self._received), bytearray()
        begin, sequence, status, count = struct.unpack("<BBBH", frame[:5])
        assert begin == START_RESPONSE
        assert sequence == self.sequence
        assert len(frame) == 9 + WORD_BYTES * count
        assert zlib.crc32(frame[1:-4]) == int.from_bytes(frame[-4:], "little")
        return LinkStatus(status), frame[5:-4]

    async def request(self, *request: Any, repeat: bool = False) -> bytes:
        """Payload of the response to a request, which must be carried out."""
        await self.send(self.frame(*request, repeat=repeat))
        status, payload = await self.response()
        assert status == LinkStatus.DONE
        return payload

    async def refused(self, *request: Any, repeat: bool = False) -> None:
        """Send a request, which must be refused."""
        await self.send(self.frame(*request, repeat=repeat))
        assert await self.response() == (LinkStatus.REFUSED, b"")

    async def silence(self, bits: int = 200) -> None:
        """Wait for as long as ``bits`` last on the line; nothing must be received."""
        await self._bits(bits)
        assert not self._received, "a response to nothing"
        assert not self._dut.active.value

    async def write_register(self, addr: int, value: int, *, repeat: bool = False) -> None:
        content = value.to_bytes(WORD_BYTES, "little")
        assert await self.request(LinkCommand.WRITE_REGISTER, 1, addr, content, repeat=repeat) == b""

    async def read_register(self, addr: int) -> int:
        return int.from_bytes(await self.request(LinkCommand.READ_REGISTER, 1, addr), "little")

    async def write_memory(self, addr: int, content: bytes, *, repeat: bool = False) -> None:
        words = len(content) // WORD_BYTES
        assert await self.request(LinkCommand.WRITE_MEMORY, words, addr, content, repeat=repeat) == b""


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def identity(dut: Any) -> None:
    """The words are those of the design, and its cycles are counted."""
    host = Host(dut)
    await host.start()
    found = []
    for _ in range(2):
        payload = await host.request(LinkCommand.IDENTIFY, len(IDENTITY))
        found.append(dict(zip(IDENTITY, struct.unpack("<4I", payload), strict=True)))
        await Timer(10_000, "ns")
    for words in found:
        assert words["LINK_ID"] == LINK_ID
        assert words["MEMORY_BYTES"] == 1 << host.addr_bits
        assert words["CLOCK_HZ"] == host.clock_hz
    # Between the two lie 1000 cycles, and on the line 13 bytes of a request and 25 of a response.
    assert 0 <= found[1]["CYCLES"] - found[0]["CYCLES"] - 1000 - 380 * host.divisor <= 40 * host.divisor


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.6])
async def registers(dut: Any, idle: float) -> None:
    """Accesses that are refused, by the bus or before it, leave the next access alone."""
    host = Host(dut, idle)
    await host.start()
    values = {}
    for _ in range(5):
        addr, value = 4 * random.randrange(16), random.getrandbits(32)
        values[addr] = value
        await host.write_register(addr, value)
        assert await host.read_register(addr) == value
        accesses = host.registers.accesses
        refused = random.choice((
            (LinkCommand.WRITE_REGISTER, 1, 1 << ADDR_BITS, bytes(4)), (LinkCommand.WRITE_REGISTER, 2, 0, bytes(8)),
            (LinkCommand.WRITE_REGISTER, 0, 0), (LinkCommand.READ_REGISTER, 1, 1 << 31), (len(LinkCommand), 1, 0)))
        await host.refused(*refused)
        assert host.registers.accesses == accesses, f"{refused} reached the bus"
        await host.refused(LinkCommand.READ_REGISTER, 1, BAD_REGISTER)
        await host.refused(LinkCommand.WRITE_REGISTER, 1, BAD_REGISTER, bytes(4))
        other = random.choice(list(values))
        assert await host.read_register(other) == values[other]
    assert host.registers.values == values


async def _words_are_accepted_at_once(words: Stream) -> None:
    while True:
        await RisingEdge(words.clk if words.valid.value else words.valid)
        assert words.ready.value or not words.valid.value


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.6])
async def memory(dut: Any, idle: float) -> None:
    """Words go to their places and come back, in bursts that end where their length is aligned."""
    host = Host(dut, idle)
    await host.start()
    cocotb.start_soon(_words_are_accepted_at_once(Stream(dut, "axi__r")))
    size = 1 << host.addr_bits
    host.memory.memory[:] = random.randbytes(size)
    expected = bytearray(host.memory.memory)
    for addr, count in ((0, 1), (60, 2), (4 * random.randrange(1000), 40), (size - 64, 16), (size - 4, 1), (100, 0)):
        content = random.randbytes(4 * count)
        await host.write_memory(addr, content)
        expected[addr:addr + len(content)] = content
        assert host.memory.memory == expected
        addr = max(addr - 4, 0)
        count = min(count + 2, (size - addr) // 4)
        found = expected[addr:addr + 4 * count]
        assert await host.request(LinkCommand.READ_MEMORY, count, addr) == found
        assert int.from_bytes(await host.request(LinkCommand.SUM_MEMORY, count, addr), "little") == zlib.crc32(found)
    long = BURST_WORDS * WORD_BYTES
    for addr, beats in host.memory.reads + host.memory.writes:
        assert addr % long + beats * WORD_BYTES <= long
    assert (0, 1) in host.memory.writes
    bursts = len(host.memory.reads), len(host.memory.writes)
    for command, content in ((LinkCommand.READ_MEMORY, b""), (LinkCommand.SUM_MEMORY, b""),
                             (LinkCommand.WRITE_MEMORY, bytes(8))):
        for addr in (2, size - 4, size, (1 << 32) - 4):
            await host.refused(command, 2, addr, content)
    assert (len(host.memory.reads), len(host.memory.writes)) == bursts
    assert host.memory.memory == expected


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_damaged_request_does_nothing(dut: Any) -> None:
    """It is not answered; the same request undamaged is carried out, at once or after the silence."""
    host = Host(dut)
    await host.start()
    addr, content = 256, random.randbytes(12).replace(bytes([START_REQUEST]), b"-")
    host.sequence = 0  # no byte of the request is a start byte but the first
    whole = host.frame(LinkCommand.WRITE_MEMORY, 3, addr, content)
    crc, flipped, doubled = bytearray(whole), bytearray(whole), bytearray(whole)
    crc[-1] ^= 0x80
    flipped[12] ^= 1
    doubled.insert(6, whole[6])
    for damaged in (crc, flipped, doubled):
        await host.send(damaged)
        await host.silence()
    await host.send(whole[:8] + whole[9:])
    await host.silence(SILENCE_BITS + 10)
    assert not host.memory.writes
    await host.send(whole)
    assert await host.response() == (LinkStatus.DONE, b"")
    assert host.memory.memory[addr:addr + 12] == content


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_repeated_write_is_carried_out_once(dut: Any) -> None:
    """The repetition is answered as before. After any other request, a write of the same number is another one."""
    host = Host(dut)
    await host.start()
    await host.write_register(8, 1)
    await host.write_memory(64, b"once")
    await host.write_memory(64, b"more", repeat=True)
    await host.write_register(8, 2, repeat=True)
    assert host.registers.values == {8: 1}
    assert host.memory.memory[64:68] == b"once"
    await host.refused(LinkCommand.WRITE_REGISTER, 1, BAD_REGISTER, bytes(4))
    await host.refused(LinkCommand.WRITE_REGISTER, 1, 8, bytes(4), repeat=True)
    number = host.sequence
    for between in ((LinkCommand.IDENTIFY, 4), (LinkCommand.READ_REGISTER, 1, 8), (LinkCommand.READ_MEMORY, 1, 64),
                    (LinkCommand.SUM_MEMORY, 1, 64)):
        await host.request(*between)
        host.sequence = number
        value = random.getrandbits(32)
        await host.write_register(8, value, repeat=True)
        assert host.registers.values[8] == value
    await host.request(LinkCommand.IDENTIFY, 4, repeat=True)
    await host.write_register(8, 5, repeat=True)
    assert host.registers.values[8] == 5
