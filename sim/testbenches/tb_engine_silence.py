"""A channel of memory falls silent, for ever or for long: the run ends, by the watchdog or by an abort, and when memory
wakes up, nothing more is written, and the next run is exact."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.bench.engine_bench import LIMIT, Chain, EngineBench, open_bench, sample
from sim.bench.hostile_memory import CHANNELS, Behaviour
from sim.bench.streams import cycles
from sim.tools.run import arguments

MOMENTS = (0, 15, 40, 60, 75, 90, 100, 110, 120, 140)
"""Cycles of a run after which memory falls silent."""


async def _end_in_silence(bench: EngineBench, chain: Chain, channel: str, moment: int, watchdog: int) -> bool:
    """Start a run and let the memory fall silent; the watchdog ends the run, or an abort if that is off.

    Returns whether the silence came before the end of the run.
    """
    await bench.begin_run(chain, Behaviour(order=random.choice(("any", "any", "random"))), watchdog)
    await cycles(bench.dut, moment)
    bench.memory.behaviour.silent = {channel}
    if watchdog:
        errors = await bench.ended(watchdog + 400)
    else:
        await cycles(bench.dut, 200)
        if not bench.dut.irq.value:
            await bench.abort()
        errors = await bench.ended(bench.ends)
    bench.check_no_harm()
    assert errors in (set(), {"timeout" if watchdog else "aborted"}), errors
    return bool(errors)


async def _check_that_starts_wait(bench: EngineBench, chain: Chain) -> None:
    """While memory owes an answer, a run does not begin; it can be aborted, and the watchdog ends it."""
    watchdog = random.choice((0, 20))
    await bench.launch(chain.descriptors[0], watchdog)
    await cycles(bench.dut, 300)
    status = await bench.status()
    assert not status.busy or await bench.registers.read("CYCLES") == 0, "no cycles are counted before a run begins"
    assert (status.busy, status.settling) == (not watchdog, 1)
    await bench.abort()
    assert await bench.ended(bench.ends) == {"timeout" if watchdog else "aborted"}


@cocotb.test()
@cocotb.parametrize(channel=list(CHANNELS))
async def what_memory_owes_is_waited_for(dut: Any, channel: str) -> None:
    bench, chain = await open_bench(dut)
    for moment in sample(MOMENTS, arguments()[2]):
        if not await _end_in_silence(bench, chain, channel, moment, random.choice((0, 0, 40, 600))):
            bench.memory.behaviour.silent = set()
            continue
        written, may_follow = set(bench.memory.written.differences(chain.memory)), bench.memory.kept + 1
        settling = (await bench.status()).settling
        assert settling or not bench.memory.owes
        if settling and random.random() < 0.3:
            await _check_that_starts_wait(bench, chain)
        bench.memory.behaviour.silent = set()
        if random.random() < 0.5:
            await cycles(dut, random.randrange(200))
        else:
            for _ in range(LIMIT):
                await RisingEdge(dut.clk)
                if not (await bench.status()).settling:
                    break
            assert not bench.memory.owes
        # What was on offer may still write its beat, and so may those that memory had accepted before; no others.
        bench.check_no_harm()
        late = {place // bench.config.bus_bytes
                for place in set(bench.memory.written.differences(chain.memory)) - written}
        assert len(late) <= may_follow, f"{len(late)} beats were written after the end"
        await bench.check_exact(chain)


@cocotb.test()
@cocotb.parametrize(channel=list(CHANNELS))
async def a_run_that_waits_begins_when_memory_wakes_up(dut: Any, channel: str) -> None:
    bench, chain = await open_bench(dut)
    other = bench.chain(beside=chain)
    for moment in sample(MOMENTS, arguments()[2]):
        ended = await _end_in_silence(bench, chain, channel, moment, random.choice((0, 0, 40, 600)))
        may_follow = bench.memory.kept + 1
        if not ended or not (await bench.status()).settling:
            bench.memory.behaviour.silent = set()
            continue
        old, new = bench.outcome, other.expect()
        bench.outcome = new
        bench.memory.load(other.memory, [*old.reads, *new.reads], [*old.writes, *new.writes])
        await bench.launch(other.descriptors[0], watchdog=random.choice((0, 400)))
        await cycles(dut, random.randrange(300))
        bench.memory.behaviour.silent = set()
        assert await bench.ended() == set()
        wrong = bench.memory.written.differences(bench.expected())
        bench.outcome = old
        assert not set(wrong) & set(bench.memory.written.differences(bench.expected()))
        assert len({place // bench.config.bus_bytes for place in wrong}) <= may_follow
        await bench.check_exact(chain)


@cocotb.test()
async def the_watchdog_counts_cycles_without_a_transfer(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    await bench.check_exact(chain)  # the bus is silent for long after a reset
    await bench.begin_run(chain)
    bench.memory.clear_gap()
    await RisingEdge(dut.irq)
    gap = bench.memory.gap
    await bench.check_ended_exact()
    for watchdog, errors in ((gap + 3, set()), (gap - 3, {"timeout"}), (1, {"timeout"}), (2, {"timeout"}),
                             (0xFFFFFFFF, set()), (0, set())):
        await bench.begin_run(chain, watchdog=watchdog)
        assert await bench.ended() == errors, f"watchdog {watchdog}, longest gap {gap}"
        bench.check_no_harm()
        if watchdog < 3:
            # The next run with the same watchdog ends like this too, and does not hang.
            await bench.launch(chain.descriptors[0], watchdog)
            await bench.ended()
        await bench.check_exact(chain)
