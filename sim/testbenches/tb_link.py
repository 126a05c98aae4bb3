"""The link from the pins of its line to both of its buses: requests do what they say, once, or nothing at all."""

import random
import struct
import zlib

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, Timer, with_timeout

from hw.engine.registers import ADDR_BITS
from hw.link.link import BURST_WORDS
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
from hw.parts.axi import AXI4LiteSignature, Resp
from sim.bench.axi_slave import AxiSlave, accept
from sim.bench.streams import Stream, send, start
from sim.tools.run import arguments

BAD_REGISTER = 0x40
"""Answered with an error."""


class Registers:
    """An AXI4-Lite slave; ``accesses`` are those that came."""

    def __init__(self, dut, idle):
        members = AXI4LiteSignature(ADDR_BITS).members
        self._layouts = {channel: member.signature.members["payload"].shape for channel, member in members.items()}
        self._streams = {channel: Stream(dut, f"axil__{channel}") for channel in members}
        self._idle, self.values, self.accesses = idle, {}, 0
        # Ready before it is asked, as a slice is.
        self.inputs = [self._streams[channel].valid for channel in ("r", "b")]
        for channel in ("ar", "aw", "w"):
            self._streams[channel].ready.value = idle == 0

    async def _take(self, channel):
        stream = self._streams[channel]
        bits = await accept(stream, self._idle)
        stream.ready.value = self._idle == 0
        self.accesses += 1
        return self._layouts[channel].from_bits(bits)

    async def _answer(self, channel, addr, **fields):
        resp = Resp.SLVERR if addr == BAD_REGISTER else Resp.OKAY
        await send(self._streams[channel], [self._layouts[channel].const({"resp": resp, **fields}).as_bits()],
                   self._idle)

    async def read(self):
        while True:
            addr = (await self._take("ar")).addr
            await self._answer("r", addr, data=self.values.get(addr, 0))

    async def write(self):
        while True:
            coming = cocotb.start_soon(self._take("w"))
            addr, word = (await self._take("aw")).addr, await coming
            assert word.strb == 15
            if addr != BAD_REGISTER:
                self.values[addr] = word.data
            await self._answer("b", addr)


class Host:
    """The far end of the line, and both buses."""

    def __init__(self, dut, idle=0.0):
        self.divisor, self.addr_bits, self.clock_hz = arguments()
        self._dut, self.sequence, self._came = dut, random.getrandbits(8), bytearray()
        self.memory = AxiSlave(dut, "axi", self.addr_bits, 8 * WORD_BYTES, idle)
        self.registers = Registers(dut, idle)

    async def start(self):
        self._dut.rx.value = 1
        await start(self._dut, *self.memory.inputs, *self.registers.inputs)
        self.memory.start()
        for task in (self.registers.read(), self.registers.write(), self._listen()):
            cocotb.start_soon(task)
        await Timer(3, "ns")  # the line changes between our clock's edges

    async def _bits(self, count):
        await Timer(round(count * 10 * self.divisor), "ns")

    async def _listen(self):
        while True:
            await FallingEdge(self._dut.tx)
            await self._bits(0.5)
            byte = 0
            for number in range(8):
                await self._bits(1)
                byte |= int(self._dut.tx.value) << number
            await self._bits(1)
            assert self._dut.tx.value, "no stop bit"
            self._came.append(byte)

    async def say(self, data):
        for byte in data:
            for value in (0, *(byte >> number & 1 for number in range(8)), 1):
                self._dut.rx.value = value
                await self._bits(1)

    def frame(self, command, count, address=0, content=b"", repeat=False):
        """A request's bytes, its number that of the one before if it is to be a ``repeat``."""
        self.sequence = (self.sequence + (not repeat)) % 256
        code = command.value if isinstance(command, LinkCommand) else command
        body = struct.pack("<BBHI", self.sequence, code, count, address) + content
        return bytes([START_REQUEST]) + body + zlib.crc32(body).to_bytes(4, "little")

    async def answer(self):
        """Status and payload of the response, which is right."""
        async def whole():
            while len(self._came) < 4 or len(self._came) < 9 + WORD_BYTES * int.from_bytes(self._came[3:5], "little"):
                await self._bits(1)

        await with_timeout(whole(), 100_000 * self.divisor, "ns")
        frame, self._came = bytes(self._came), bytearray()
        begin, sequence, status, count = struct.unpack("<BBBH", frame[:5])
        assert begin == START_RESPONSE
        assert sequence == self.sequence
        assert len(frame) == 9 + WORD_BYTES * count
        assert zlib.crc32(frame[1:-4]) == int.from_bytes(frame[-4:], "little")
        return LinkStatus(status), frame[5:-4]

    async def ask(self, *request, **options):
        """Payload of the response to a request that is carried out."""
        await self.say(self.frame(*request, **options))
        status, payload = await self.answer()
        assert status == LinkStatus.DONE
        return payload

    async def refused(self, *request, **options):
        await self.say(self.frame(*request, **options))
        assert await self.answer() == (LinkStatus.REFUSED, b"")

    async def silence(self, bits=200):
        await self._bits(bits)
        assert not self._came, "an answer to nothing"
        assert not self._dut.active.value

    async def write_register(self, addr, value, **options):
        assert await self.ask(LinkCommand.WRITE_REGISTER, 1, addr, value.to_bytes(4, "little"), **options) == b""

    async def read_register(self, addr):
        return int.from_bytes(await self.ask(LinkCommand.READ_REGISTER, 1, addr), "little")

    async def write_memory(self, addr, content, **options):
        assert await self.ask(LinkCommand.WRITE_MEMORY, len(content) // 4, addr, content, **options) == b""


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def identity(dut):
    host = Host(dut)
    await host.start()
    told = []
    for _ in range(2):
        told.append(dict(zip(IDENTITY, struct.unpack("<4I", await host.ask(LinkCommand.IDENTIFY, 4)), strict=True)))
        await Timer(10_000, "ns")
    for words in told:
        assert words["LINK_ID"] == LINK_ID
        assert words["MEMORY_BYTES"] == 1 << host.addr_bits
        assert words["CLOCK_HZ"] == host.clock_hz
    # Besides, a request of 13 bytes and a response of 25.
    assert 0 <= told[1]["CYCLES"] - told[0]["CYCLES"] - 1000 - 380 * host.divisor <= 40 * host.divisor


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.6])
async def registers(dut, idle):
    """Those that are refused, by the bus or before it, leave the next access alone."""
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
        assert host.registers.accesses == accesses, f"{refused} came to the bus"
        await host.refused(LinkCommand.READ_REGISTER, 1, BAD_REGISTER)
        await host.refused(LinkCommand.WRITE_REGISTER, 1, BAD_REGISTER, bytes(4))
        other = random.choice(list(values))
        assert await host.read_register(other) == values[other]
    assert host.registers.values == values


async def _words_are_taken_at_once(words):
    while True:
        await RisingEdge(words.clk if words.valid.value else words.valid)
        assert words.ready.value or not words.valid.value


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.6])
async def memory(dut, idle):
    """Words go to their places and come back, in bursts that end where their length is aligned."""
    host = Host(dut, idle)
    await host.start()
    cocotb.start_soon(_words_are_taken_at_once(Stream(dut, "axi__r")))
    size = 1 << host.addr_bits
    host.memory.memory[:] = random.randbytes(size)
    wanted = bytearray(host.memory.memory)
    for addr, count in ((0, 1), (60, 2), (4 * random.randrange(1000), 40), (size - 64, 16), (size - 4, 1), (100, 0)):
        content = random.randbytes(4 * count)
        await host.write_memory(addr, content)
        wanted[addr:addr + len(content)] = content
        assert host.memory.memory == wanted
        addr = max(addr - 4, 0)
        count = min(count + 2, (size - addr) // 4)
        found = wanted[addr:addr + 4 * count]
        assert await host.ask(LinkCommand.READ_MEMORY, count, addr) == found
        assert int.from_bytes(await host.ask(LinkCommand.SUM_MEMORY, count, addr), "little") == zlib.crc32(found)
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
    assert host.memory.memory == wanted


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_spoilt_request_does_nothing(dut):
    """It is not answered; the same one whole is carried out, at once or after the silence."""
    host = Host(dut)
    await host.start()
    addr, content = 256, random.randbytes(12).replace(bytes([START_REQUEST]), b"-")
    host.sequence = 0  # no byte of the request is a start byte but the first
    whole = host.frame(LinkCommand.WRITE_MEMORY, 3, addr, content)
    crc, flipped, doubled = bytearray(whole), bytearray(whole), bytearray(whole)
    crc[-1] ^= 0x80
    flipped[12] ^= 1
    doubled.insert(6, whole[6])
    for spoilt in (crc, flipped, doubled):
        await host.say(spoilt)
        await host.silence()
    await host.say(whole[:8] + whole[9:])
    await host.silence(SILENCE_BITS + 10)
    assert not host.memory.writes
    await host.say(whole)
    assert await host.answer() == (LinkStatus.DONE, b"")
    assert host.memory.memory[addr:addr + 12] == content


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_repeated_write_is_carried_out_once(dut):
    """And answered as before. After any other request, a write of the same number is another one."""
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
        await host.ask(*between)
        host.sequence = number
        value = random.getrandbits(32)
        await host.write_register(8, value, repeat=True)
        assert host.registers.values[8] == value
    await host.ask(LinkCommand.IDENTIFY, 4, repeat=True)
    await host.write_register(8, 5, repeat=True)
    assert host.registers.values[8] == 5
