"""The chip's model with its pins driven by hand: commands at the least legal distances, of which one may be too short.

The third argument of the test bench names the distance that is a clock, or a refresh, too short, or what else is wrong;
None for nothing.
"""

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.sdram.part import SdramPart
from hw.sdram.pins import ALL_BANKS, Command
from sim.bench.streams import cycles, start
from sim.tools.run import arguments


class Pins:
    """Drives the chip's pins."""

    def __init__(self, dut: Any):
        self._dut = dut

    async def drive(self, command: Command, clocks: int, ba: int = 0, a: int = 0, data: int | None = None) -> None:
        """Drive a command and wait ``clocks`` until the next one; ``data`` and ``data`` + 1 are written."""
        dut, code = self._dut, command.value
        dut.ras_n.value, dut.cas_n.value, dut.we_n.value = (not code >> bit & 1 for bit in range(3))
        dut.ba.value, dut.a.value = ba, a
        for number in range(clocks):
            dut.dq_oe.value = data is not None and number < 2
            dut.dq_i.value = (data or 0) + number
            await RisingEdge(dut.clk)
            dut.ras_n.value = dut.cas_n.value = dut.we_n.value = 1
        dut.dq_oe.value = 0


def _distances(part: SdramPart, clock: float, less: str | None) -> dict[str, int]:
    """The least legal distances in clocks and the number of refreshes, the one called ``less`` too small by one."""
    distances = {name: part.clocks(f"t_{name}", clock) for name in ("rcd", "rp", "ras", "rc", "rrd", "wr", "rfc")}
    distances |= {"mrd": part.t_mrd_ck, "power_up": part.cycles(1000 * part.power_up_us, clock),
                  "refreshes": part.power_up_refreshes, "interval": part.refresh_interval(clock)}
    return {name: count - (name == less) for name, count in distances.items()}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def commands(dut: Any) -> None:
    part, clock, less = arguments()
    t, pins = _distances(part, clock, less), Pins(dut)
    dut.clk_en.value, dut.cs_n.value, dut.dqm.value = 1, 0, 0
    dut.ras_n.value = dut.cas_n.value = dut.we_n.value = 1
    await start(dut, dut.dq_oe)
    await cycles(dut, t["power_up"])
    await pins.drive(Command.PRECHARGE, t["rp"], a=ALL_BANKS)
    for _ in range(t["refreshes"]):
        await pins.drive(Command.REFRESH, t["rfc"])
    await pins.drive(Command.MODE, t["mrd"], a=0x31)

    # tRCD and tRRD, and data that are read back.
    await pins.drive(Command.ACTIVATE, max(t["rrd"], t["rcd"]) if less != "rrd" else t["rrd"], ba=0, a=3)
    await pins.drive(Command.ACTIVATE, t["rcd"], ba=1, a=4)
    await pins.drive(Command.WRITE, 2, ba=1, a=8, data=0x1234)
    await pins.drive(Command.READ, 2, ba=1, a=8)
    await cycles(dut, 2)
    assert dut.dq_o.value == 0x1234
    await cycles(dut, 1)
    assert dut.dq_o.value == 0x1235
    await cycles(dut, 200)
    # tRP alone, after a long time open; tRAS with a long time closed; tRC with the shortest of both.
    await pins.drive(Command.PRECHARGE, t["rp"], a=ALL_BANKS)
    await pins.drive(Command.ACTIVATE, 200, ba=2, a=5)
    await pins.drive(Command.PRECHARGE, 200, ba=2)
    await pins.drive(Command.ACTIVATE, t["ras"], ba=2, a=6)
    await pins.drive(Command.PRECHARGE, max(t["rp"], t["rc"] - t["ras"]), ba=2)
    await pins.drive(Command.ACTIVATE, 200, ba=2, a=7)
    # tWR counts from the last data.
    await pins.drive(Command.WRITE, 1 + t["wr"], ba=2, a=8, data=0x1234)
    await pins.drive(Command.PRECHARGE, 100, a=ALL_BANKS)
    if less == "contention":
        await pins.drive(Command.ACTIVATE, 100, ba=2, a=7)
        await pins.drive(Command.READ, 4, ba=2, a=8)
        await pins.drive(Command.WRITE, 100, ba=2, a=8, data=0x1234)
    if less == "closed":
        await pins.drive(Command.READ, 100, ba=2, a=8)
    if less == "interval":
        await cycles(dut, 3 * t["interval"])
