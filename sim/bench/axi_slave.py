"""A memory behind an AXI4 interface made of stream ports, for cocotb testbenches: it checks what it is asked for."""

import random

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge

from hw.parts.axi import BURST_BYTES, AXI4Signature, Burst, Resp, beat_size
from sim.bench.streams import Stream, receive_one, send

__all__ = ["AxiSlave", "take"]


async def take(stream, idle=0.0):
    """The next payload (int) that ``stream`` offers; before it is taken, cycles pass with probability ``idle``."""
    if not stream.valid.value:
        await RisingEdge(stream.valid)
    while random.random() < idle:
        await RisingEdge(stream.clk)
    return await receive_one(stream)


class AxiSlave:
    """Answers in order, reads and writes each by themselves.

    Parameters
    ----------
    dut : handle
    name : str
        Of the interface of ``dut``.
    addr_bits, data_bits : int
    idle : float
        Probability of a cycle in which a channel does nothing.
    failing : callable
        Whether the burst at an address fails.

    ``memory`` is its content; ``reads`` and ``writes`` are addresses and beats of the bursts that it was asked for.
    """

    def __init__(self, dut, name, addr_bits, data_bits, idle=0.0, failing=lambda addr: False):
        self.memory, self._width, self._idle, self._failing = bytearray(1 << addr_bits), data_bits // 8, idle, failing
        members = AXI4Signature(addr_bits, data_bits).members
        self._layouts = {channel: member.signature.members["payload"].shape for channel, member in members.items()}
        self._streams = {channel: Stream(dut, f"{name}__{channel}") for channel in members}
        self.reads, self.writes = [], []

    @property
    def inputs(self):
        """Handles that are to be 0 during reset."""
        return [*(self._streams[channel].ready for channel in ("ar", "aw", "w")),
                *(self._streams[channel].valid for channel in ("r", "b"))]

    def start(self):
        """Answer from now on."""
        reads, writes = Queue(), Queue()
        for task in (self._ask("ar", self.reads, reads), self._ask("aw", self.writes, writes), self._read(reads),
                     self._write(writes), *(self._watch(self._streams[channel]) for channel in ("ar", "aw", "w"))):
            cocotb.start_soon(task)

    async def _watch(self, stream):
        held = None
        while True:
            if not stream.valid.value:
                await RisingEdge(stream.valid)
            await RisingEdge(stream.clk)
            found = int(stream.payload.value) if stream.valid.value else None
            assert held in (None, found), f"{stream.name} withdrew or changed what was not taken"
            held = None if stream.ready.value else found

    async def _take(self, channel):
        return self._layouts[channel].from_bits(await take(self._streams[channel], self._idle))

    async def _ask(self, channel, asked, bursts):
        while True:
            request = await self._take(channel)
            beats = request.len + 1
            assert request.burst == Burst.INCR
            assert request.size == beat_size(8 * self._width)
            assert request.addr % self._width == 0
            assert request.addr % BURST_BYTES + beats * self._width <= BURST_BYTES, "a burst crosses 4 KB"
            asked.append((request.addr, beats))
            places = range(request.addr, request.addr + beats * self._width, self._width)
            bursts.put_nowait((places, Resp.SLVERR if self._failing(request.addr) else Resp.OKAY))

    async def _read(self, bursts):
        while True:
            places, resp = await bursts.get()
            await send(self._streams["r"], [self._layouts["r"].const(
                {"data": int.from_bytes(self.memory[place:place + self._width], "little"), "resp": resp,
                 "last": place == places[-1]}).as_bits() for place in places], self._idle)

    async def _write(self, bursts):
        while True:
            places, resp = await bursts.get()
            for place in places:
                beat = await self._take("w")
                assert beat.last == (place == places[-1])
                for number in range(self._width):
                    if beat.strb >> number & 1 and resp == Resp.OKAY:
                        self.memory[place + number] = beat.data >> 8 * number & 255
            await send(self._streams["b"], [self._layouts["b"].const({"resp": resp}).as_bits()], self._idle)
