"""A master of the engine's registers, on the flat pins of AXI4-Lite."""

import random
from typing import Any

from cocotb.triggers import RisingEdge

from hw.parts.axi import Resp
from hw.registers.register_map import OFFSETS

__all__ = ["RegisterPins"]

_LATE = 0.05
"""Share of writes whose address or data come late, and of those whose response is not accepted at once."""


class RegisterPins:
    """Reads and writes registers through ``s_axil_*``, one access at a time. Some addresses of writes come before their
    data or behind them, and some responses are accepted late.

    Parameters
    ----------
    dut : handle
    """

    def __init__(self, dut: Any) -> None:
        self._pins = {name: getattr(dut, f"s_axil_{name}") for name in (
            "awaddr", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready", "bresp", "bvalid", "bready", "araddr",
            "arvalid", "arready", "rdata", "rresp", "rvalid", "rready")}
        self._edge = RisingEdge(dut.clk)
        for name in ("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arvalid", "rready"):
            self._pins[name].value = 0

    async def write_at(self, offset: int, value: int, strobes: int = 15) -> Resp:
        """Write the bytes of ``value`` that ``strobes`` choose to the register at ``offset``; returns the response."""
        pins = self._pins
        pins["awaddr"].value, pins["wdata"].value, pins["wstrb"].value = offset, value, strobes
        # Cycles until each channel does its part; the response is waited for from the acceptance of both others on.
        wait = {"aw": 0, "w": 0, "b": random.choice((0, 3)) if random.random() < _LATE else 0}
        if random.random() < _LATE:
            wait[random.choice(("aw", "w"))] = random.randint(1, 4)
        pending = ["aw", "w", "b"]
        while pending:
            for channel in pending if pending == ["b"] else pending[:-1]:
                offered = wait[channel] == 0
                pins["bready" if channel == "b" else f"{channel}valid"].value = int(offered)
                wait[channel] -= not offered
            await self._edge
            for channel in [*pending]:
                mine, theirs = ("ready", "valid") if channel == "b" else ("valid", "ready")
                if pins[f"{channel}{mine}"].value and pins[f"{channel}{theirs}"].value:
                    pins[f"{channel}{mine}"].value = 0
                    pending.remove(channel)
        return Resp(int(pins["bresp"].value))

    async def read_at(self, offset: int) -> tuple[int, Resp]:
        """The value of the register at ``offset``, and the response."""
        pins = self._pins
        pins["araddr"].value, pins["arvalid"].value, pins["rready"].value = offset, 1, 1
        await self._edge
        while not pins["arready"].value:
            await self._edge
        pins["arvalid"].value = 0
        await self._edge
        while not pins["rvalid"].value:
            await self._edge
        pins["rready"].value = 0
        return int(pins["rdata"].value), Resp(int(pins["rresp"].value))

    async def write(self, name: str, value: int) -> None:
        """Write a register, which must be answered by OKAY."""
        resp = await self.write_at(OFFSETS[name], value)
        assert resp == Resp.OKAY, f"{name} = {value:#x} was answered by {resp.name}"

    async def read(self, name: str) -> int:
        """The value of a register."""
        value, resp = await self.read_at(OFFSETS[name])
        assert resp == Resp.OKAY, f"a read of {name} was answered by {resp.name}"
        return value
