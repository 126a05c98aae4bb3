"""A memory behind an AXI4 interface made of stream ports, for cocotb testbenches: it checks every request that it gets.
"""

import random
from collections.abc import Callable
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge

from hw.parts.axi import BURST_BYTES, AXI4Signature, Burst, Resp, beat_size
from sim.bench.streams import Stream, receive_one, send

__all__ = ["AxiSlave", "accept", "watch_offers"]

_Transfer = tuple[range, Resp]
"""A burst under way: the addresses of its beats, and the response to it."""


async def accept(stream: Stream, idle: float = 0.0) -> int:
    """The next payload that ``stream`` offers; before it is accepted, each further cycle passes with probability
    ``idle``."""
    if not stream.valid.value:
        await RisingEdge(stream.valid)
    while random.random() < idle:
        await RisingEdge(stream.clk)
    return await receive_one(stream)


async def watch_offers(stream: Stream) -> None:
    """Check, from now on, that what ``stream`` offers stays as it is until it is accepted.

    Raises
    ------
    AssertionError
        When the payload is withdrawn or changed before.
    """
    held = None
    while True:
        if not stream.valid.value:
            await RisingEdge(stream.valid)
        await RisingEdge(stream.clk)
        found = int(stream.payload.value) if stream.valid.value else None
        assert held in (None, found), f"{stream.name} withdrew or changed a payload that was not accepted"
        held = None if stream.ready.value else found


class AxiSlave:
    """Answers in order, reads and writes each by themselves. Data of writes are accepted whether their address has been
    or not.

    Parameters
    ----------
    dut : handle
    name : str
        Name of the interface of ``dut``.
    addr_bits, data_bits : int
        Widths of the interface; the memory has all addresses.
    idle : float
        Probability of a cycle in which a channel does nothing.
    failing : callable
        Whether the burst at an address fails; then it is answered by SLVERR and changes nothing.

    Attributes
    ----------
    memory : bytearray
        The content of the memory.
    reads, writes : list of (int, int)
        Addresses and beats of the bursts that were requested, in order.
    """

    def __init__(self, dut: Any, name: str, addr_bits: int, data_bits: int, idle: float = 0.0,
                 failing: Callable[[int], bool] = lambda addr: False) -> None:
        self.memory, self._width, self._idle, self._failing = bytearray(1 << addr_bits), data_bits // 8, idle, failing
        members = AXI4Signature(addr_bits, data_bits).members
        self._layouts: dict[str, data.StructLayout] = {
            channel: member.signature.members["payload"].shape for channel, member in members.items()}
        self._streams = {channel: Stream(dut, f"{name}__{channel}") for channel in members}
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []

    @property
    def inputs(self) -> list[Any]:
        """Handles that are to be 0 during reset."""
        return [*(self._streams[channel].ready for channel in ("ar", "aw", "w")),
                *(self._streams[channel].valid for channel in ("r", "b"))]

    def start(self) -> None:
        """Answer from now on."""
        reads: Queue[_Transfer] = Queue()
        writes: Queue[_Transfer] = Queue()
        beats: Queue[Any] = Queue()
        for task in (self._accept_requests("ar", self.reads, reads), self._accept_requests("aw", self.writes, writes),
                     self._accept_beats(beats), self._read(reads), self._write(writes, beats),
                     *(watch_offers(self._streams[channel]) for channel in ("ar", "aw", "w"))):
            cocotb.start_soon(task)

    async def _accept(self, channel: str) -> Any:
        return self._layouts[channel].from_bits(await accept(self._streams[channel], self._idle))

    async def _accept_requests(self, channel: str, requested: list[tuple[int, int]],
                               transfers: "Queue[_Transfer]") -> None:
        """Check the requests of an address channel and pass them on as the addresses of the beats and a response."""
        while True:
            request = await self._accept(channel)
            beats = request.len + 1
            assert request.burst == Burst.INCR
            assert request.size == beat_size(8 * self._width)
            assert request.addr % self._width == 0
            assert request.addr % BURST_BYTES + beats * self._width <= BURST_BYTES, "a burst crosses 4 KB"
            requested.append((request.addr, beats))
            places = range(request.addr, request.addr + beats * self._width, self._width)
            transfers.put_nowait((places, Resp.SLVERR if self._failing(request.addr) else Resp.OKAY))

    async def _accept_beats(self, beats: "Queue[Any]") -> None:
        """Pass the data of writes on."""
        while True:
            beats.put_nowait(await self._accept("w"))

    async def _read(self, transfers: "Queue[_Transfer]") -> None:
        while True:
            places, resp = await transfers.get()
            await send(self._streams["r"], [self._layouts["r"].const(
                {"data": int.from_bytes(self.memory[place:place + self._width], "little"), "resp": resp,
                 "last": place == places[-1]}).as_bits() for place in places], self._idle)

    async def _write(self, transfers: "Queue[_Transfer]", beats: "Queue[Any]") -> None:
        while True:
            places, resp = await transfers.get()
            for place in places:
                beat = await beats.get()
                assert beat.last == (place == places[-1])
                for number in range(self._width):
                    if beat.strb >> number & 1 and resp == Resp.OKAY:
                        self.memory[place + number] = beat.data >> 8 * number & 255
            await send(self._streams["b"], [self._layouts["b"].const({"resp": resp}).as_bits()], self._idle)
