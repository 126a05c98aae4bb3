"""Counters: each counts its own event, clears at the start, and holds; together they explain every cycle; latency."""

import random
from typing import Any

import cocotb

from hw.registers.cycle_classes import CYCLE_CLASSES
from hw.registers.register_map import COUNTERS
from sim.bench.streams import cycles, start

INPUTS = ("busy", "reading", "refreshing", "read_valid", "read_ready", "write_beat")


@cocotb.test()
async def events_are_counted(dut: Any) -> None:
    await start(dut, dut.start, *(getattr(dut, name) for name in INPUTS))
    for _ in range(3):
        dut.start.value = 1
        await cycles(dut, 1)
        dut.start.value = 0
        expected = dict.fromkeys(COUNTERS, 0)
        for _ in range(300):
            now = {name: random.getrandbits(1) for name in INPUTS}
            for name, value in now.items():
                getattr(dut, name).value = value
            await cycles(dut, 1)
            if not now["busy"]:
                continue
            if now["read_valid"]:
                kind = "beats" if now["read_ready"] else "stalled"
            else:
                kind = ("refresh" if now["refreshing"] else "starved") if now["reading"] else "drain"
            expected["cycles"] += 1
            expected[kind] += 1
            expected["write_beats"] += now["write_beat"]
        for name in INPUTS:
            getattr(dut, name).value = 0
        await cycles(dut, 5)
        found = {name: int(getattr(dut, name).value) for name in expected}
        assert found == expected
        assert sum(found[name] for name in CYCLE_CLASSES) == found["cycles"]


@cocotb.test()
async def an_event_is_shown_after_two_cycles(dut: Any) -> None:
    await start(dut, dut.start, *(getattr(dut, name) for name in INPUTS))
    await cycles(dut, 1)
    dut.start.value = 1
    await cycles(dut, 1)
    dut.start.value, dut.busy.value = 0, 1
    for shown in (0, 0, 1, 2):
        await cycles(dut, 1)
        assert int(dut.cycles.value) == shown
