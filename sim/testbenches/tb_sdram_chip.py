"""The chip model, its pins driven by hand: commands at the least legal distance, but for one clock in one place."""

import cocotb
from cocotb.triggers import RisingEdge

from hw.sdram.pins import ALL_BANKS, Command
from sim.bench.streams import cycles, start
from sim.tools.run import arguments


class Pins:
    """Gives commands; each is taken at the rising edge that ends its wait."""

    def __init__(self, dut):
        self._dut = dut

    async def give(self, command, clocks, ba=0, a=0, data=None):
        """A command, and ``clocks`` to the next one."""
        dut, code = self._dut, command.value
        dut.ras_n.value, dut.cas_n.value, dut.we_n.value = (not code >> bit & 1 for bit in range(3))
        dut.ba.value, dut.a.value = ba, a
        for number in range(clocks):
            dut.dq_oe.value = data is not None and number < 2
            dut.dq_i.value = (data or 0) + number
            await RisingEdge(dut.clk)
            dut.ras_n.value = dut.cas_n.value = dut.we_n.value = 1
        dut.dq_oe.value = 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def commands(dut):
    part, clock, less = arguments()
    t = {name: part.clocks(f"t_{name}", clock) for name in ("rcd", "rp", "ras", "rc", "rrd", "wr", "rfc")}
    t |= {"mrd": part.t_mrd_ck, "power_up": part.cycles(1000 * part.power_up_us, clock),
          "refreshes": part.power_up_refreshes, "interval": part.refresh_interval(clock)}
    if less in t:
        t[less] -= 1
    pins = Pins(dut)
    dut.clk_en.value, dut.cs_n.value, dut.dqm.value = 1, 0, 0
    dut.ras_n.value = dut.cas_n.value = dut.we_n.value = 1
    await start(dut, dut.dq_oe)
    await cycles(dut, t["power_up"])
    await pins.give(Command.PRECHARGE, t["rp"], a=ALL_BANKS)
    for _ in range(t["refreshes"]):
        await pins.give(Command.REFRESH, t["rfc"])
    await pins.give(Command.MODE, t["mrd"], a=0x31)

    # tRCD and tRRD, and data that come back.
    await pins.give(Command.ACTIVATE, max(t["rrd"], t["rcd"]) if less != "rrd" else t["rrd"], ba=0, a=3)
    await pins.give(Command.ACTIVATE, t["rcd"], ba=1, a=4)
    await pins.give(Command.WRITE, 2, ba=1, a=8, data=0x1234)
    await pins.give(Command.READ, 2, ba=1, a=8)
    await cycles(dut, 2)
    assert dut.dq_o.value == 0x1234
    await cycles(dut, 1)
    assert dut.dq_o.value == 0x1235
    await cycles(dut, 200)
    # tRP alone, after a long time open; tRAS with a long time closed; tRC with the shortest of both.
    await pins.give(Command.PRECHARGE, t["rp"], a=ALL_BANKS)
    await pins.give(Command.ACTIVATE, 200, ba=2, a=5)
    await pins.give(Command.PRECHARGE, 200, ba=2)
    await pins.give(Command.ACTIVATE, t["ras"], ba=2, a=6)
    await pins.give(Command.PRECHARGE, max(t["rp"], t["rc"] - t["ras"]), ba=2)
    await pins.give(Command.ACTIVATE, 200, ba=2, a=7)
    # tWR counts from the last data.
    await pins.give(Command.WRITE, 1 + t["wr"], ba=2, a=8, data=0x1234)
    await pins.give(Command.PRECHARGE, 100, a=ALL_BANKS)
    if less == "contention":
        await pins.give(Command.ACTIVATE, 100, ba=2, a=7)
        await pins.give(Command.READ, 4, ba=2, a=8)
        await pins.give(Command.WRITE, 100, ba=2, a=8, data=0x1234)
    if less == "closed":
        await pins.give(Command.READ, 100, ba=2, a=8)
    if less == "interval":
        await cycles(dut, 3 * t["interval"])
