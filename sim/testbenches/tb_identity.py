"""The answer to IDENTIFY: its words in order, and the cycles counted until it was asked for."""

from typing import Any

import cocotb
from cocotb.utils import get_sim_time

from hw.link.protocol import IDENTITY, LINK_ID
from sim.bench.streams import PERIOD_NS, Stream, cycles, receive, start
from sim.tools.run import arguments


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.7])
async def words_of_the_identity(dut: Any, stall: float) -> None:
    memory_bytes, clock_hz = arguments()
    words = Stream(dut, "words")
    await start(dut, dut.identify, words.ready)
    counts, times = [], []
    for pause in (1, 2, 50, 0):
        await cycles(dut, pause)
        dut.identify.value = 1
        await cycles(dut, 1)
        dut.identify.value = 0
        times.append(round(get_sim_time("ns")) // PERIOD_NS)
        found = dict(zip(IDENTITY, await receive(words, len(IDENTITY), stall), strict=True))
        assert (found["LINK_ID"], found["MEMORY_BYTES"], found["CLOCK_HZ"]) == (LINK_ID, memory_bytes, clock_hz)
        counts.append(found["CYCLES"])
    assert [count - counts[0] for count in counts] == [time - times[0] for time in times]
