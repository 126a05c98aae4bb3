"""The rate of a sequential stream of reads, for :func:`sim.dram.measure.sequential_rate`."""

import json
from pathlib import Path

import cocotb

from sim.bench.memory_master import sequential_rate, started

INTERVALS = 10
"""Refresh intervals to measure."""


@cocotb.test()
async def rate(dut):
    Path("rate.json").write_text(json.dumps(await sequential_rate(await started(dut), INTERVALS)))
