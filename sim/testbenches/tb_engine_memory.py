"""Memory answers in every order and at every pace, with errors, and against the rules of AXI: a run is exact or ends
with the right cause, and the next one is exact."""

import random
from collections.abc import Callable
from typing import Any

import cocotb

from hw.parts.axi import Resp
from sim.bench.engine_bench import EngineBench, open_bench, sample
from sim.bench.hostile_memory import Behaviour
from sim.bench.streams import cycles
from sim.tools.run import arguments

ERRORS = (Resp.EXOKAY, Resp.SLVERR, Resp.DECERR)
PACES = [Behaviour(), Behaviour(latency=1), Behaviour(latency=14), Behaviour(pause=0.3), Behaviour(pause=0.8),
         *(Behaviour(order=order, pause=pause) for order in ("aw", "w", "random") for pause in (0.0, 0.5))]


async def _check_exact_or_failed(bench: EngineBench, harmless: bool = True) -> set[str]:
    """Check that the run is exact or fails, with no wrong result in memory if it is ``harmless``; returns by which
    errors."""
    errors = await bench.ended()
    if harmless or not errors:
        bench.check_no_harm()
    if not errors:
        assert not bench.memory.written.differences(bench.expected()), "done, and results are missing"
    return errors


@cocotb.test()
async def any_order_and_pace_is_exact(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    for behaviour in sample(PACES, arguments()[2]):
        await bench.begin_run(chain, behaviour)
        await bench.check_ended_exact()


@cocotb.test()
async def an_error_on_any_beat_ends_the_run(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    width, outcome = bench.config.bus_bytes, chain.expect()
    for cause, regions in (("read_error", outcome.reads), ("write_error", outcome.writes)):
        for first, size in regions:
            beats = -(-size // width)
            for beat in sample(sorted({0, 1 % beats, random.randrange(beats), beats - 1}), arguments()[2]):
                place = first + beat * width
                await bench.begin_run(chain, Behaviour(pause=random.choice((0.0, 0.3))))
                failing = bench.memory.behaviour.resp
                if cause == "read_error":
                    failing[place] = random.choice(ERRORS)
                else:
                    failing.update(dict.fromkeys(range(first, first + size, width), random.choice(ERRORS)))
                errors = await bench.ended()
                assert errors == {cause}, f"{errors} with a bad response at {place:#x}"
                found = await bench.error_addr()
                assert found in (bench.burst_of(place) if cause == "read_error" else
                                 {address for address, _ in bench.memory.writes if first <= address < first + size})
                bench.check_no_harm()
                await bench.check_exact(chain)


WRONG_LASTS: dict[str, Callable[[int], list[bool]]] = {
    "missing": lambda beats: [False] * beats,
    "on every beat": lambda beats: [True] * beats,
    "early": lambda beats: [n in (0, beats - 1) for n in range(beats)],
    "one too early": lambda beats: [n >= beats - 2 for n in range(beats)],
    "early, and no more beats": lambda beats: [True],
    "one beat too many": lambda beats: [False] * beats + [True],
    "many beats too many": lambda beats: [False] * (beats + 5) + [True],
    "late for ever": lambda beats: [False] * (3 * beats),
}


@cocotb.test()
@cocotb.parametrize(kind=list(WRONG_LASTS))
async def rlast_in_the_wrong_place_ends_the_run(dut: Any, kind: str) -> None:
    bench, chain = await open_bench(dut)
    await bench.check_exact(chain)
    bursts, wrong = list(bench.memory.reads), WRONG_LASTS[kind]
    width = bench.config.bus_bytes
    for number, (address, size) in sample(list(enumerate(bursts)), arguments()[2]):
        await bench.begin_run(chain, Behaviour(last={number: wrong}, pause=random.choice((0.0, 0.3))))
        beats = size // width
        if wrong(beats) == [False] * (beats - 1) + [True]:
            await bench.check_ended_exact()
            continue
        errors = await bench.ended()
        assert errors == {"protocol_error"}, f"{errors}, RLAST {kind} in burst {number} of {beats} beats"
        assert await bench.error_addr() == address
        bench.check_no_harm()
        await bench.check_exact(chain)


@cocotb.test()
@cocotb.parametrize(kind=list(WRONG_LASTS))
async def rlast_in_the_wrong_place_during_an_abort_does_no_harm(dut: Any, kind: str) -> None:
    """A beat has a bad response, and RLAST is wrong in that burst or the one behind it."""
    bench, chain = await open_bench(dut)
    await bench.check_exact(chain)
    bursts = list(bench.memory.reads)
    for number, (address, _) in sample(list(enumerate(bursts)), arguments()[2]):
        lasts = {number + behind: WRONG_LASTS[kind] for behind in random.choice(((0,), (1,), (0, 1, 2)))}
        await bench.begin_run(chain, Behaviour(resp={address: random.choice(ERRORS)}, last=lasts,
                                               pause=random.choice((0.0, 0.3))))
        assert await bench.ended() <= {"read_error", "protocol_error"}
        bench.check_no_harm()
        await bench.drained()
        await bench.check_exact(chain)


@cocotb.test()
async def answers_that_nobody_asked_for_do_no_harm(dut: Any) -> None:
    """Before a run, in it, and at its end, when no answer is outstanding; and when one is, a beat without RLAST."""
    bench, chain = await open_bench(dut)
    for channel in ("r", "b"):
        for at in sample((-100, -40, -3, -1, *range(0, 200, 9)), arguments()[2]):
            bench.memory.behaviour = Behaviour()
            bench.load(chain.memory, chain.expect())
            if at < 0:
                _ask(bench, channel)
                await cycles(dut, -at)
            await bench.launch(chain.descriptors[0])
            await cycles(dut, max(at, 0))
            among_others = bench.memory.owes
            if at >= 0 and (channel == "r" or not among_others):
                _ask(bench, channel)
            # A beat among others is taken for what was asked for, until RLAST is missing. By then a result that follows
            # from it may be in memory.
            errors = await _check_exact_or_failed(bench, channel == "b" or not among_others)
            assert errors in (set(), {"protocol_error"}) or among_others
            await bench.drained()
            await bench.check_exact(chain)


def _ask(bench: EngineBench, channel: str) -> None:
    if channel == "r":
        bench.memory.ask_r(random.getrandbits(bench.config.bus_bits), last=not bench.memory.owes)
    else:
        bench.memory.ask_b()


@cocotb.test()
async def answers_before_their_request_is_accepted_are_reported(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    for channel, silent in (("r", "ar"), ("r", "b"), ("b", "aw"), ("b", "w")):
        await bench.check_exact(chain)
        await bench.begin_run(chain, Behaviour(silent={silent}))
        await cycles(dut, 200)
        _ask(bench, channel)
        assert await bench.ended() == {"protocol_error"}
        assert await bench.error_addr() == 0
        bench.memory.behaviour.silent = set()
        await bench.drained()
        await bench.check_exact(chain)


@cocotb.test()
@cocotb.parametrize(early=["aw", "w"])
async def responses_before_their_time_do_no_harm(dut: Any, early: str) -> None:
    bench, chain = await open_bench(dut)
    for pause in (0.0, 0.0, 0.3, 0.6):
        await bench.begin_run(chain, Behaviour(early=early, pause=pause, order="aw" if early == "aw" else "w"))
        assert await _check_exact_or_failed(bench) in (set(), {"protocol_error"})
        bench.memory.behaviour = Behaviour()
        await bench.drained()
        await bench.check_exact(chain)


@cocotb.test()
@cocotb.parametrize(channel=["r", "b"])
async def a_memory_that_never_stops_answering_is_got_rid_of(dut: Any, channel: str) -> None:
    """Runs end by themselves or are aborted, also those that wait for a silence that does not come."""
    bench, chain = await open_bench(dut)
    for at in (-60, -1, 20, 60, 90):
        await bench.begin_run(chain, Behaviour(babbling={channel} if at < 0 else set()))
        if at >= 0:
            await cycles(dut, at)
            bench.memory.behaviour.babbling = {channel}
        for _ in range(2):
            await cycles(dut, 1000)
            if not dut.irq.value:
                await bench.abort()
            await bench.ended(bench.ends_at_last)
            bench.check_no_harm()
            await bench.launch(chain.descriptors[0])
        await bench.abort()
        await bench.ended(bench.ends_at_last)
        bench.memory.behaviour.babbling = set()
        await bench.drained()
        await bench.check_exact(chain)
