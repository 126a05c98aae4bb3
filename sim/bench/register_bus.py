"""An AXI4-Lite master under cocotb, over a bundle of stream ports."""

from typing import Any

from amaranth.lib import data
from cocotb.triggers import gather

from hw.parts.axi import AXI4LiteSignature, Resp
from sim.bench.streams import Stream, receive_one, send

__all__ = ["BusError", "RegisterBus"]


class BusError(RuntimeError):
    """An access was answered by another response than OKAY; the message names the address."""


class RegisterBus:
    """Reads and writes registers of 32 bits, one access at a time.

    Parameters
    ----------
    dut : handle
    addr_bits : int
        Width of an address, which counts bytes.
    name : str
        Name of the AXI4-Lite port of ``dut``.
    """

    def __init__(self, dut: Any, addr_bits: int, name: str = "axil") -> None:
        self._layouts: dict[str, data.StructLayout] = {
            channel: member.signature.members["payload"].shape
            for channel, member in AXI4LiteSignature(addr_bits).members.items()}
        self._streams = {channel: Stream(dut, f"{name}__{channel}") for channel in self._layouts}

    @property
    def inputs(self) -> list[Any]:
        """Handles that are to be 0 during reset."""
        return [*(self._streams[channel].valid for channel in ("aw", "w", "ar")),
                *(self._streams[channel].ready for channel in ("b", "r"))]

    async def _send(self, channel: str, fields: dict[str, int]) -> None:
        await send(self._streams[channel], [self._layouts[channel].const(fields).as_bits()])

    async def _response(self, channel: str, address: int) -> Any:
        response: Any = self._layouts[channel].from_bits(await receive_one(self._streams[channel]))
        if response.resp != Resp.OKAY:
            raise BusError(f"register {address:#x}: {response.resp.name}")
        return response

    async def read(self, address: int) -> int:
        """The value of the register at ``address``.

        Raises
        ------
        BusError
            When there is no register at ``address``.
        """
        await self._send("ar", {"addr": address})
        return (await self._response("r", address)).data

    async def write(self, address: int, value: int, strobes: int = 15) -> None:
        """Set the bytes of the register at ``address`` that ``strobes`` choose to those of ``value``.

        Raises
        ------
        BusError
            When there is no register at ``address``, or it cannot be written.
        """
        await gather(self._send("aw", {"addr": address}), self._send("w", {"data": value, "strb": strobes}))
        await self._response("b", address)
