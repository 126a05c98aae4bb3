"""Registers behind an AXI4-Lite interface made of stream ports, for cocotb testbenches."""

from typing import Any

import cocotb

from hw.parts.axi import AXI4LiteSignature, Resp
from sim.bench.axi_slave import accept
from sim.bench.streams import Stream, send

__all__ = ["AxiLiteSlave"]


class AxiLiteSlave:
    """Answers one read and one write at a time; a register that has not been written reads as 0.

    Parameters
    ----------
    dut : handle
    name : str
        Name of the interface of ``dut``.
    addr_bits : int
        Bits of a byte address.
    idle : float
        Probability of a cycle in which a channel does nothing. With 0 the slave is ready before it is asked, as a slice
        is.
    failing : set of int
        Addresses whose accesses are answered with an error, and change nothing.

    ``values`` holds the words that were written, by address; ``accesses`` counts the transfers on the channels ar, aw
    and w.
    """

    def __init__(self, dut: Any, name: str, addr_bits: int, idle: float = 0.0,
                 failing: frozenset[int] = frozenset()) -> None:
        members = AXI4LiteSignature(addr_bits).members
        self._layouts: dict[str, Any] = {channel: member.signature.members["payload"].shape
                                         for channel, member in members.items()}
        self._streams = {channel: Stream(dut, f"{name}__{channel}") for channel in members}
        self._idle, self._failing, self.accesses = idle, failing, 0
        self.values: dict[int, int] = {}
        self.inputs = [self._streams[channel].valid for channel in ("r", "b")]
        for channel in ("ar", "aw", "w"):
            self._streams[channel].ready.value = idle == 0

    def start(self) -> None:
        """Answer from now on."""
        for task in (self._read(), self._write()):
            cocotb.start_soon(task)

    async def _accept(self, channel: str) -> Any:
        stream = self._streams[channel]
        bits = await accept(stream, self._idle)
        stream.ready.value = self._idle == 0
        self.accesses += 1
        return self._layouts[channel].from_bits(bits)

    async def _answer(self, channel: str, addr: int, **fields: int) -> None:
        resp = Resp.SLVERR if addr in self._failing else Resp.OKAY
        await send(self._streams[channel], [self._layouts[channel].const({"resp": resp, **fields}).as_bits()],
                   self._idle)

    async def _read(self) -> None:
        while True:
            addr = (await self._accept("ar")).addr
            await self._answer("r", addr, data=self.values.get(addr, 0))

    async def _write(self) -> None:
        while True:
            data = cocotb.start_soon(self._accept("w"))
            addr, word = (await self._accept("aw")).addr, await data
            assert word.strb == 15
            if addr not in self._failing:
                self.values[addr] = word.data
            await self._answer("b", addr)
