"""The rate of a sequential stream of reads, for :func:`sim.measure.sequential_rate`."""

import json
from pathlib import Path

import cocotb

from sim.testbenches.memory_master import Master, sequential_rate

INTERVALS = 10
"""Refresh intervals to measure."""


@cocotb.test()
async def rate(dut):
    master = Master(dut)
    await master.start()
    Path("rate.json").write_text(json.dumps(await sequential_rate(master, INTERVALS)))
