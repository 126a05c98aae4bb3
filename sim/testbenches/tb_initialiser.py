"""Initialiser: nothing during power-up, then the data sheet's commands in their order and nothing after."""

from typing import Any

import cocotb

from hw.sdram.pins import ALL_BANKS, Command
from sim.bench.row_commands import RowCommands
from sim.bench.streams import cycles, start
from sim.tools.run import arguments

_MODE = 0x31
"""Sequential bursts of two at a CAS latency of three."""


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def commands_come_in_order(dut: Any) -> None:
    part, clock = arguments()
    power_up = part.cycles(1000 * part.power_up_us, clock)
    t_rp, t_rfc = part.clocks("t_rp", clock), part.clocks("t_rfc", clock)
    commands = RowCommands(dut, {Command.PRECHARGE: t_rp, Command.REFRESH: t_rfc, Command.MODE: part.t_mrd_ck},
                           "initialised")
    await start(dut, dut.row_command__accepted)
    cocotb.start_soon(commands.run())
    await cycles(dut, power_up + 1000)
    assert commands.rises["initialised"] == [power_up + t_rp + part.power_up_refreshes * t_rfc + 2]
    assert dut.initialised.value
    assert [(one.command, one.bank) for one in commands.accepted] == [
        (Command.PRECHARGE, 0), *[(Command.REFRESH, 0)] * part.power_up_refreshes, (Command.MODE, 0)]
    assert commands.accepted[0].cycle == power_up + 1
    assert commands.accepted[0].address & ALL_BANKS
    assert commands.accepted[-1].address == _MODE
