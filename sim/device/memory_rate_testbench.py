"""The part of :mod:`sim.device.memory_rate` that runs inside the simulator: it reads, and counts words and cycles.

The share of the peak is left in ``rate.json`` in the directory that the simulation runs in.
"""

import json
from pathlib import Path
from typing import Any

import cocotb

from hw.parts.axi import BURST_BEATS, BURST_BYTES
from sim.bench.memory_master import Master, started

_INTERVALS, _ROUNDS = 10, 60
"""Refresh intervals to measure, and rounds of refreshes of single banks, of which a stream meets only some."""
_WITHOUT_REFRESH = 2000
"""Cycles to measure when the memory has no refresh."""
_WARM_UP = 200
"""Cycles from the first word to the start of the measurement, by which all rows are open."""


async def _sequential_rate(master: Master) -> float:
    """Share of the peak that a sequential stream of reads reaches once under way, over whole refresh intervals."""
    dram, beats = master.dram, min(BURST_BYTES // master.width, BURST_BEATS)
    peak = dram.word_rate(master.data_bits)
    span = dram.refresh_interval * (_ROUNDS if dram.t_refi_bank else _INTERVALS) or _WITHOUT_REFRESH
    words = int((_WARM_UP + span) * peak) // beats * beats + 2 * beats
    _, received = await master.read(master.sequential(words, beats))
    first = received[0] + _WARM_UP
    assert received[-1] >= first + span
    return sum(first <= cycle < first + span for cycle in received) / span / peak


@cocotb.test()
async def rate(dut: Any) -> None:
    Path("rate.json").write_text(json.dumps(await _sequential_rate(await started(dut))))
