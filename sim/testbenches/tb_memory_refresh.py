"""Memory model, refreshes of single banks: what a stream of reads and the reads of one bank meet of them."""

from itertools import pairwise
from typing import Any

import cocotb

from sim.bench.memory_master import started


@cocotb.test()
async def a_stream_waits_for_no_longer_than_a_bank(dut: Any) -> None:
    """A gap is at most a bank closed, refreshed and opened again; where refreshes are hidden, there is none."""
    master = await started(dut)
    dram, step = master.dram, master.dram.stream_step(master.data_bits) / master.dram.ratio
    words = int(3 * dram.refresh_interval / step)
    _, received = await master.read(master.sequential(words, min(4096 // master.width, 256)))
    gaps = [b - a - step for a, b in pairwise(received) if b - a > step + dram.cycles(dram.t_rrd_s)]
    dut._log.info(f"{dram.name}: gaps of {gaps} cycles")
    assert not (gaps and dram.refresh_hidden)
    assert all(gap <= dram.cycles(dram.t_rtp + dram.t_rp + dram.t_rfc_bank + dram.t_rcd) + 1 for gap in gaps)


@cocotb.test()
async def every_bank_is_refreshed_once_a_round(dut: Any) -> None:
    """Reads of one bank, a row each time, meet its refresh once a round, and wait until it is closed and refreshed."""
    master = await started(dut)
    dram = master.dram
    requests = [(master.word(row=i % 4), 1) for i in range(3 * dram.refresh_interval // 20)]
    accepted, received = await master.read(requests, outstanding=1)
    waits = [b - a for a, b in zip(accepted, received, strict=True)]
    usual = min(waits[1:])
    met = [wait for wait in waits[1:] if wait > usual + dram.cycles(dram.t_rp)]
    dut._log.info(f"{dram.name}: waits of {usual} cycles, in refreshes {met}")
    assert received[-1] // dram.refresh_interval <= len(met) <= received[-1] // dram.refresh_interval + 2
    assert max(waits) <= usual + dram.cycles(dram.t_ras + dram.t_rp + dram.t_rfc_bank)
