"""AXI4-Lite master for cocotb testbenches, over a bundle of stream ports."""

from cocotb.triggers import gather

from hw.parts.axi import AXI4LiteSignature, Resp
from sim.bench.streams import Stream, receive_one, send

__all__ = ["BusError", "RegisterBus"]


class BusError(RuntimeError):
    """An access came back with a response other than OKAY; the message names the address."""


class RegisterBus:
    """Reads and writes 32-bit registers through the AXI4-Lite port ``name`` of ``dut``, one access at a time."""

    def __init__(self, dut, addr_bits, name="axil"):
        self._layouts = {channel: member.signature.members["payload"].shape
                         for channel, member in AXI4LiteSignature(addr_bits).members.items()}
        for channel in self._layouts:
            setattr(self, channel, Stream(dut, f"{name}__{channel}"))

    @property
    def inputs(self):
        """Handles that are to be 0 during reset."""
        return [self.aw.valid, self.w.valid, self.ar.valid, self.b.ready, self.r.ready]

    async def _response(self, channel, address):
        response = self._layouts[channel].from_bits(await receive_one(getattr(self, channel)))
        if response.resp != Resp.OKAY:
            raise BusError(f"register {address:#x}: {response.resp.name}")
        return response

    async def read(self, address):
        """The register's value; BusError when there is none at ``address``."""
        await send(self.ar, [self._layouts["ar"].const({"addr": address}).as_bits()])
        return (await self._response("r", address)).data

    async def write(self, address, value):
        """Set the register; BusError when none at ``address`` can be written."""
        offers = ((self.aw, {"addr": address}), (self.w, {"data": value, "strb": 15}))
        await gather(*(send(stream, [self._layouts[stream.name.rpartition("_")[2]].const(fields).as_bits()])
                       for stream, fields in offers))
        await self._response("b", address)
