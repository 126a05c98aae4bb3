"""Bank machine: a segment is passed on when its row is open, as fast as it says; rows are closed for a refresh."""

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.sdram.pins import ALL_BANKS, Command
from hw.sdram.segment import segment_layout
from sim.bench.row_commands import RowCommands
from sim.bench.streams import cycles, start
from sim.tools.run import arguments


def _segment(**fields: int) -> int:
    return segment_layout(arguments()[0]).const(fields).as_bits()


async def _start(dut: Any) -> RowCommands:
    """The machine with a chip that is initialised; the column machine has nothing to do."""
    part, clock = arguments()
    commands = RowCommands(dut, {Command.ACTIVATE: _open_cycles(), Command.PRECHARGE: part.clocks("t_rp", clock)})
    await start(dut, dut.i__valid, dut.close, dut.transfer__busy, dut.transfer__issue, dut.row_command__accepted,
                dut.settled)
    dut.o__ready.value = 1
    cocotb.start_soon(commands.run())
    await cycles(dut, 10)
    return commands


def _open_cycles() -> int:
    part, clock = arguments()
    return max(2, part.clocks("t_rcd", clock), part.clocks("t_rrd", clock))


async def _latency(dut: Any, segment: int) -> int:
    """Cycles from a segment's offer to its being passed on, long after all times of before have passed."""
    dut.i__valid.value, dut.i__payload.value = 1, segment
    count = 0
    while True:
        await RisingEdge(dut.clk)
        if dut.o__valid.value:
            break
        count += 1
    assert dut.i__ready.value
    assert dut.o__payload.value == segment
    dut.i__valid.value = 0
    await cycles(dut, 100)
    return count


@cocotb.test(timeout_time=100, timeout_unit="us")
async def rows_are_opened(dut: Any) -> None:
    part, clock = arguments()
    commands = await _start(dut)
    opening, closing = _open_cycles() + 1, part.clocks("t_rp", clock)
    assert await _latency(dut, _segment(bank=1, row=5)) == 3 + opening
    assert await _latency(dut, _segment(bank=1, row=5, word=7)) == 3
    assert await _latency(dut, _segment(bank=2, row=6)) == 3 + opening
    assert await _latency(dut, _segment(bank=1, row=4)) == 3 + opening + closing
    assert await _latency(dut, _segment(bank=2, row=6)) == 3
    assert [(one.command, one.bank) for one in commands.accepted] == [
        (Command.ACTIVATE, 1), (Command.ACTIVATE, 2), (Command.PRECHARGE, 1), (Command.ACTIVATE, 1)]
    assert [one.address for one in commands.accepted if one.command == Command.ACTIVATE] == [5, 6, 4]
    assert not commands.accepted[2].address & ALL_BANKS


@cocotb.test(timeout_time=100, timeout_unit="us")
async def rows_are_released_for_a_refresh(dut: Any) -> None:
    """After it the row of the interrupted segment is opened again, and all others count as closed."""
    part, clock = arguments()
    commands = await _start(dut)
    await _latency(dut, _segment(bank=1, row=5))
    await _latency(dut, _segment(bank=2, row=6))
    dut.transfer__busy.value, dut.transfer__current.value = 1, _segment(bank=1, row=5)
    dut.i__valid.value, dut.i__payload.value = 1, _segment(bank=3, row=9)
    while len(commands.accepted) < 3:
        await RisingEdge(dut.clk)
    dut.i__valid.value, dut.close.value = 0, 1
    await RisingEdge(dut.released)
    assert dut.paused.value
    assert commands.cycle >= commands.accepted[-1].cycle + part.clocks("t_ras", clock), "released before tRAS"
    await cycles(dut, 20)
    assert len(commands.accepted) == 3, "a row is opened during a refresh"
    dut.close.value = 0
    while dut.paused.value:
        await RisingEdge(dut.clk)
    assert (commands.accepted[3].command, commands.accepted[3].bank, commands.accepted[3].address) == (
        Command.ACTIVATE, 1, 5)
    assert len(commands.accepted) == 4
    assert await _latency(dut, _segment(bank=1, row=5)) == 3
    assert await _latency(dut, _segment(bank=2, row=6)) == 3 + _open_cycles() + 1
