"""Counters: each counts its own event, clears at the start, and holds."""

import random

import cocotb

from sim.runner import arguments
from sim.streams import cycles, start

INPUTS = ("busy", "reading", "read_valid", "read_ready", "write_beat")


@cocotb.test()
async def events_are_counted(dut):
    (bus_bytes,) = arguments()
    await start(dut, dut.start, *(getattr(dut, name) for name in INPUTS))
    for _ in range(3):
        dut.start.value = 1
        await cycles(dut, 1)
        dut.start.value = 0
        wanted = dict.fromkeys(("cycles", "starved", "stalled", "beats", "bytes_read", "bytes_written"), 0)
        for _ in range(200):
            now = {name: random.getrandbits(1) for name in INPUTS}
            for name, value in now.items():
                getattr(dut, name).value = value
            await cycles(dut, 1)
            beat = now["read_valid"] & now["read_ready"]
            wanted["cycles"] += now["busy"]
            wanted["starved"] += now["reading"] & ~now["read_valid"]
            wanted["stalled"] += now["read_valid"] & ~now["read_ready"]
            wanted["beats"] += beat
            wanted["bytes_read"] += beat * bus_bytes
            wanted["bytes_written"] += now["write_beat"] * bus_bytes
        for name in INPUTS:
            getattr(dut, name).value = 0
        await cycles(dut, 5)
        assert {name: int(getattr(dut, name).value) for name in wanted} == wanted
