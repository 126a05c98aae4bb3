"""The engine is reset in every cycle of a run, for 1, 2 or 3 cycles, with its memory or alone; the next run is exact.
"""

import random
from typing import Any

import cocotb

from hw.registers.register_map import ERRORS
from sim.bench.engine_bench import EngineBench, open_bench, sample
from sim.bench.hostile_memory import Behaviour
from sim.bench.streams import cycles
from sim.tools.run import arguments

BEHIND = 8
"""Cycles behind the end of a run in which the engine is reset too."""


def _behaviour() -> Behaviour:
    """A memory that keeps to AXI. Its pauses are shorter than what the engine takes for silence."""
    return Behaviour(pause=random.choice((0.0, 0.3, 0.85)), longest=12, latency=random.choice((1, 6, 12)),
                     order=random.choice(("any", "aw", "w", "random")))


async def _check_idle(bench: EngineBench) -> None:
    """Check the registers after a reset."""
    assert not bench.dut.irq.value
    status = await bench.status()
    assert not any(status[name] for name in ("busy", "done", *ERRORS))
    for name in ("IRQ_ENABLE", "IRQ_PENDING", "ROWS", "ERROR_ADDR", "CYCLES"):
        assert await bench.registers.read(name) == 0, name


@cocotb.test()
async def a_reset_in_any_cycle_leaves_nothing_behind(dut: Any) -> None:
    """The run that is reset and the one behind it have nothing in common, so that whatever is left of one shows."""
    _, _, share = arguments()
    bench, old = await open_bench(dut)
    new, duration = bench.chain(beside=old), await bench.duration(old)
    for number, at in enumerate(sample(range(duration + BEHIND), share)):
        for length, survives in ((1, False), (1, True), (2 + number % 2, number // 2 % 2 == 0)):
            dut._log.info("reset for %s cycles in cycle %s, survived by the memory: %s", length, at, survives)
            await bench.begin_run(old, _behaviour())
            await cycles(dut, at)
            await bench.reset(length, survives)
            if random.random() < 0.5:
                await cycles(dut, random.randrange(1, 60))
                await _check_idle(bench)
                await bench.check_exact(new)
            else:
                # As soon as it can be, while the memory that goes on is still as slow as before.
                bench.load(new.memory, new.expect())
                await bench.launch({name: value for name, value in new.descriptors[0].items() if value})
                await bench.check_ended_exact()
