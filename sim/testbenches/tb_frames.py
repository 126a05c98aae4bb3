"""Frames, both directions: undamaged requests are offered with their payload, damaged ones are not, none is stuck."""

import random
import struct
import zlib
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, with_timeout

from hw.link.protocol import MAX_WORDS, REQUEST, RESPONSE, START_REQUEST, START_RESPONSE, WORD_BYTES, LinkCommand
from sim.bench.streams import Stream, cycles, receive, send, start
from sim.tools.run import arguments

WRITES = (LinkCommand.WRITE_MEMORY, LinkCommand.WRITE_REGISTER)


class Request:
    """A random request: its fields, the words of its payload, and the bytes of its frame."""

    def __init__(self, command: LinkCommand, count: int) -> None:
        self.fields: dict[int | str, int] = {"sequence": random.getrandbits(8), "command": command.value,
                                             "count": count, "address": random.getrandbits(32)}
        self.words = [random.getrandbits(32) for _ in range(count if command in WRITES else 0)]
        body = struct.pack(f"<BBHI{len(self.words)}I", *self.fields.values(), *self.words)
        self.bytes = bytes([START_REQUEST]) + body + zlib.crc32(body).to_bytes(4, "little")


class Receiver:
    """Sends bytes to the receiver, and accepts the requests that it offers."""

    def __init__(self, dut: Any) -> None:
        self._dut, self._request = dut, Stream(dut, "request")

    async def start(self) -> None:
        await start(self._dut, self._dut.received, self._request.ready, self._dut.index)

    async def send(self, data: bytes | bytearray, most: int = 6) -> None:
        """Send bytes, 1 to ``most`` idle cycles after each; nothing must be offered before the last."""
        for byte in data:
            self._dut.received.value, self._dut.byte.value = 1, byte
            await RisingEdge(self._dut.clk)
            assert not self._request.valid.value, "offered before its end"
            self._dut.received.value = 0
            await cycles(self._dut, random.randint(1, most))

    async def _offer(self, request: Request) -> None:
        while not self._request.valid.value:
            await RisingEdge(self._dut.clk)
        assert self._request.payload.value == REQUEST.const(request.fields).as_bits()

    async def expect(self, request: Request) -> None:
        """Accept ``request``, which must be offered with its words whatever other bytes are received."""
        await with_timeout(self._offer(request), 100, "ns")
        for number in random.sample(range(len(request.words)), min(20, len(request.words))):
            self._dut.index.value = number
            self._dut.received.value, self._dut.byte.value = random.getrandbits(1), START_REQUEST
            await cycles(self._dut, 3)
            assert self._dut.word.value == request.words[number]
        await self._offer(request)
        self._dut.received.value = 0
        self._request.ready.value = 1
        await RisingEdge(self._dut.clk)
        self._request.ready.value = 0
        await self.expect_nothing(4)

    async def expect_nothing(self, count: int) -> None:
        """Wait for ``count`` cycles; nothing must be offered."""
        for _ in range(count):
            await RisingEdge(self._dut.clk)
            assert not self._request.valid.value


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def undamaged_requests_are_offered(dut: Any) -> None:
    receiver = Receiver(dut)
    await receiver.start()
    for command in LinkCommand:
        for count in (0, 1, 2, 13, MAX_WORDS if command == LinkCommand.WRITE_MEMORY else 0xFFFF):
            if command in WRITES and count > MAX_WORDS:
                continue
            request = Request(command, count)
            await receiver.send(random.randbytes(3).replace(bytes([START_REQUEST]), b"-"))
            await receiver.send(request.bytes, 1 if count == MAX_WORDS else 6)
            await receiver.expect(request)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(fault=["flipped", "lost", "doubled", "swapped"])
async def damaged_ones_are_not(dut: Any, fault: str) -> None:
    """Whatever a fault leaves over is dropped after the silence."""
    (silence,) = arguments()
    receiver = Receiver(dut)
    await receiver.start()
    for _ in range(40):
        request = Request(random.choice(list(LinkCommand)), random.randrange(4))
        data, at = bytearray(request.bytes), random.randrange(len(request.bytes) - 1)
        if fault == "flipped":
            data[at] ^= 1 << random.randrange(8)
        elif fault == "lost":
            del data[at]
        elif fault == "doubled":
            data.insert(at, data[at])
        else:
            data[at], data[at + 1] = data[at + 1], data[at]
        # Equal bytes were swapped, or the last of them was doubled: the frame is right.
        if data[:len(request.bytes)] == request.bytes:
            continue
        await receiver.send(data)
        await receiver.expect_nothing(silence + 2)
        await receiver.send(request.bytes)
        await receiver.expect(request)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_incomplete_frame_is_dropped_after_the_silence(dut: Any) -> None:
    """It is not dropped sooner."""
    (silence,) = arguments()
    receiver = Receiver(dut)
    await receiver.start()
    request = Request(LinkCommand.WRITE_REGISTER, 1)
    for stop in range(1, len(request.bytes)):
        for missing, whole in ((0, False), (1, True)):
            await receiver.send(request.bytes[:stop], 1)
            await receiver.expect_nothing(silence - 1 + missing)
            await receiver.send(request.bytes if whole else request.bytes[stop:])
            await receiver.expect(request)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_payload_that_is_too_long_is_not_waited_for(dut: Any) -> None:
    receiver = Receiver(dut)
    await receiver.start()
    long, request = Request(LinkCommand.WRITE_MEMORY, MAX_WORDS + 1), Request(LinkCommand.WRITE_MEMORY, 3)
    await receiver.send(long.bytes[:1 + REQUEST.size // 8])
    await receiver.send(request.bytes)
    await receiver.expect(request)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def responses_are_right(dut: Any, idle: float, stall: float) -> None:
    """The words of the next response wait for its header."""
    header, words, sent = (Stream(dut, name) for name in ("header", "words", "sent"))
    await start(dut, dut.received, header.valid, words.valid, sent.ready)
    headers, content, expected = [], [], b""
    for count in (0, 1, 5, 0, 70, 1):
        fields: dict[int | str, int] = {"sequence": random.getrandbits(8), "status": random.getrandbits(1),
                                        "count": count}
        payload = [random.getrandbits(8 * WORD_BYTES) for _ in range(count)]
        body = struct.pack(f"<BBH{count}I", *fields.values(), *payload)
        headers.append(RESPONSE.const(fields).as_bits())
        content += payload
        expected += bytes([START_RESPONSE]) + body + zlib.crc32(body).to_bytes(4, "little")
    cocotb.start_soon(send(header, headers, idle))
    cocotb.start_soon(send(words, content, idle))
    assert bytes(await receive(sent, len(expected), stall)) == expected
