"""Memory model, writes: how they share pins, rows and refreshes with reads, counted in cycles as for reads."""

from itertools import pairwise
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.bench.memory_master import refreshes, started
from sim.bench.streams import cycles
from sim.dram.memory import QUEUE_LATENCY, WRITES
from sim.dram.scheduler import SEGMENTS


@cocotb.test()
async def writes_and_reads_share_the_bus(dut: Any) -> None:
    """Both at once, in other banks: bursts in turn, together as fast as the pins can turn round."""
    master = await started(dut)
    dram, bursts, bits = master.dram, 3 * SEGMENTS, master.data_bits
    half = dram.banks // 2 * dram.row_words(bits) * dram.groups or 512
    beats = min(16, half // bursts)
    reads = master.sequential(bursts * beats, beats)
    writes = [(word + half, beats) for word, beats in reads]
    writing = cocotb.start_soon(master.write(writes))
    _, received = await master.read(reads)
    _, responses = await writing
    words, took = 2 * bursts * beats, max(received[-1], responses[-1])
    turn = 0
    if dram.banks:
        turn = dram.cycles(dram.t_cl + dram.t_turn + 2 * dram.word_ck(bits) + max(dram.t_wtr_s, dram.t_wtr_l))
    dut._log.info(f"{dram.name}: {words} words read and written in {took} cycles, turn {turn}")
    start_up = QUEUE_LATENCY + dram.cycles(dram.t_rcd) + dram.read_latency(bits)
    needed = words / dram.word_rate(bits) + bursts * turn
    assert took <= needed + start_up + refreshes(dram, took)[1] + 16
    # In turn: between two writes there is one burst read, once the reads queued before the first write are done.
    middle = [b - a for a, b in pairwise(responses[2:bursts // 3])]
    pair = 2 * beats / dram.word_rate(bits)
    longest = pair + turn + 16 + refreshes(dram, 1)[1]
    assert all(pair <= distance <= longest for distance in middle), responses
    await master.read(writes)


@cocotb.test()
async def the_pins_turn_round(dut: Any) -> None:
    """A read of what has just been written waits for the write's data and tWTR."""
    master = await started(dut)
    dram, word, after = master.dram, master.dram.word_ck(master.data_bits), 2
    for column, wtr in ((0, dram.t_wtr_l), (1, dram.t_wtr_s)) if dram.banks and dram.groups > 1 else ():
        await master.reset()
        await master.read([(0, 8)])  # opens the rows
        await cycles(dut, 30)
        writing = cocotb.start_soon(master.write([(0, 1)]))
        await cycles(dut, after)
        _, received = await master.read([(column, 1)])
        _, (response,) = await writing
        # The write is a cycle before its response.
        assert after + received[0] - (response - 1) == (
            dram.cycles(dram.t_cwl + word + wtr + dram.t_cl + word) + dram.controller)


@cocotb.test()
async def refreshes_go_on_under_a_write_that_is_stuck(dut: Any) -> None:
    """Responses that nobody accepts hold up a write, but not the refresh of its bank, which closes its row."""
    master = await started(dut)
    hold = 2 * master.dram.refresh_interval + 500
    sent, responses = await master.write([(2 * i, 2) for i in range(WRITES + 3)], hold=hold)
    assert sent[-1] < hold <= responses[0]
    assert len(responses) == WRITES + 3
    await master.read([(0, 2 * WRITES + 6)])


@cocotb.test()
async def writes_wait_for_their_data(dut: Any) -> None:
    """A write request without data holds up nothing."""
    master = await started(dut)
    dram = master.dram
    dut.s_axi_awaddr.value, dut.s_axi_awlen.value, dut.s_axi_awvalid.value = master.address(0), 3, 1
    await RisingEdge(dut.clk)
    dut.s_axi_awvalid.value = 0
    accepted, received = await master.read(master.sequential(32, 16))
    first = dram.cycles(dram.t_rcd + dram.t_cl + dram.word_ck(master.data_bits))
    assert received[0] - accepted[0] == QUEUE_LATENCY + first + dram.controller
    assert received[-1] - received[0] <= 31 / dram.word_rate(master.data_bits) + dram.groups * dram.cycles(dram.t_rrd_l)
