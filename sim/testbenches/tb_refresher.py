"""Refresher: one refresh in each interval, when rows have been released, and none during initialisation."""

import random
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.sdram.pins import ALL_BANKS, Command
from sim.bench.row_commands import RowCommands
from sim.bench.streams import cycles, start
from sim.tools.run import arguments


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_refresh_in_each_interval(dut: Any) -> None:
    part, clock = arguments()
    interval, t_rp, t_rfc = part.refresh_interval(clock), part.clocks("t_rp", clock), part.clocks("t_rfc", clock)
    commands = RowCommands(dut, {Command.PRECHARGE: t_rp, Command.REFRESH: t_rfc}, "due", "released")
    await start(dut, dut.row_command__accepted, dut.initialised, dut.released)
    cocotb.start_soon(commands.run())
    await cycles(dut, 2 * interval)
    assert not commands.rises["due"], "a refresh is due during initialisation"
    dut.initialised.value = 1
    for number in range(8):
        while not dut.due.value:
            await RisingEdge(dut.clk)
        await cycles(dut, random.randrange(1, 50))
        assert dut.due.value, "a refresh is forgotten"
        assert len(commands.accepted) == 2 * number, "rows are closed before they have been released"
        dut.released.value = 1
        while dut.due.value:
            await RisingEdge(dut.clk)
        dut.released.value = 0
    due, closes, refreshes = commands.rises["due"], commands.accepted[::2], commands.accepted[1::2]
    assert {later - earlier for earlier, later in pairwise(due)} == {interval}
    assert {(one.command, one.address & ALL_BANKS) for one in closes} == {(Command.PRECHARGE, ALL_BANKS)}
    assert {one.command for one in refreshes} == {Command.REFRESH}
    assert [one.cycle for one in closes] == commands.rises["released"]
    assert [one.cycle - t_rp for one in refreshes] == commands.rises["released"]
