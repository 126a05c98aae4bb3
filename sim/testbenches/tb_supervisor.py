"""Supervisor: every error ends a run and leaves the address that it is about; the watchdog counts what it should, and
after a reset and an error of the protocol the bus has to be silent for long enough."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.registers.register_map import ERRORS
from sim.bench.streams import cycles, start
from sim.tools.run import arguments

STROBES = tuple(name for name in ERRORS if name != "timeout")
ADDRESSES = {"read_addr": 0x1000, "write_addr": 0x2000, "vector_addr": 0x1040, "protocol_addr": 0x3040,
             "descriptor_addr": 0x10C0, "checked_addr": 0xFEDC_3210}
ABOUT = {"read_error": "read_addr", "write_error": "write_addr", "not_finite": "vector_addr",
         "protocol_error": "protocol_addr", "aborted": "read_addr", "bad_address": "checked_addr",
         **dict.fromkeys(("bad_descriptor", "bad_size", "bad_activations", "bad_weights"), "descriptor_addr")}
LEAST = 4
"""Cycles that an abort lasts at least."""


def _status(dut: Any) -> set[str]:
    """The errors that STATUS reports."""
    return {name for n, name in enumerate(ERRORS) if int(dut.status.value) >> n & 1}


async def _strobe(dut: Any, *names: str) -> None:
    for name in names:
        getattr(dut, name).value = 1
    await cycles(dut, 1)
    for name in names:
        getattr(dut, name).value = 0


async def _reset(dut: Any) -> int:
    """Reset; returns the cycles of silence for which the supervisor waits."""
    inputs = ("start", "busy", "reading", "progress", "quiet", "offering", *STROBES)
    await start(dut, dut.limit, *(getattr(dut, name) for name in inputs))
    for name, value in ADDRESSES.items():
        getattr(dut, name).value = value
    (config,) = arguments()
    return config.settle_cycles


async def _run(dut: Any, limit: int = 0) -> None:
    """Reset, wait until the bus is taken to be quiet, and start a run that reads."""
    silence = await _reset(dut)
    await cycles(dut, silence + 4)
    assert not dut.abort.value
    dut.limit.value = limit
    await _strobe(dut, "start")
    dut.busy.value = dut.reading.value = 1
    await cycles(dut, 5)


async def _lasts(dut: Any, limit: int = 1000) -> int:
    """Wait for the end of an abort; returns the cycles that it took from now on."""
    for cycle in range(limit):
        await RisingEdge(dut.clk)
        if not dut.abort.value:
            return cycle
    raise AssertionError("the abort does not end")


@cocotb.test()
@cocotb.parametrize(cause=[name for name in STROBES if name != "protocol_error"])
async def errors_abort_until_the_bus_is_quiet(dut: Any, cause: str) -> None:
    await _run(dut)
    await _strobe(dut, cause)
    await cycles(dut, 1)
    assert not dut.abort.value, "abort rises two cycles after the strobe"
    await cycles(dut, 1)
    assert dut.abort.value
    assert dut.failed.value
    assert _status(dut) == {cause}
    assert int(dut.error_addr.value) == ADDRESSES[ABOUT[cause]]
    for name in ADDRESSES:
        getattr(dut, name).value = 0x7000
    for later in STROBES:  # the first is what counts
        if later == "protocol_error":
            continue  # that has to be waited for longer
        await _strobe(dut, later)
        await cycles(dut, 3)
        assert _status(dut) == {cause}
        assert int(dut.error_addr.value) == ADDRESSES[ABOUT[cause]]
    assert dut.abort.value
    dut.quiet.value = 1
    await cycles(dut, 2)
    assert not dut.abort.value
    assert _status(dut) == {cause}
    dut.busy.value = 0
    await _strobe(dut, "start")
    await RisingEdge(dut.clk)
    assert _status(dut) == set()
    assert int(dut.error_addr.value) == 0


@cocotb.test()
@cocotb.parametrize(cause=[name for name in STROBES if name != "protocol_error"])
async def an_abort_outlasts_the_reset_of_the_datapath(dut: Any, cause: str) -> None:
    """Also if the bus is quiet."""
    await _run(dut)
    dut.quiet.value = 1
    await _strobe(dut, cause)
    await RisingEdge(dut.abort)
    await RisingEdge(dut.clk)
    assert await _lasts(dut) == LEAST - 1


@cocotb.test()
async def errors_of_one_cycle_are_all_reported(dut: Any) -> None:
    for _ in range(8):
        await _run(dut)
        causes = set(random.sample(STROBES, random.randint(2, 5)))
        await _strobe(dut, *causes)
        await cycles(dut, 3)
        assert _status(dut) == causes
        assert int(dut.error_addr.value) in {ADDRESSES[ABOUT[cause]] for cause in causes}


@cocotb.test()
async def errors_outside_a_run_are_none(dut: Any) -> None:
    await _run(dut)
    dut.busy.value = 0
    for cause in sorted(STROBES, key="protocol_error".__eq__):
        await _strobe(dut, cause)
        await cycles(dut, 2)
        assert _status(dut) == set()
        assert not dut.failed.value
        assert dut.abort.value == (cause == "protocol_error")


@cocotb.test()
async def what_is_outstanding_tells_what_an_abort_is_about(dut: Any) -> None:
    for reading in (0, 1):
        await _run(dut)
        dut.reading.value = reading
        await _strobe(dut, "aborted")
        await cycles(dut, 3)
        assert int(dut.error_addr.value) == ADDRESSES["read_addr" if reading else "write_addr"]


async def _check_silence(dut: Any, silence: int) -> None:
    """Check how long an abort lasts for which the bus has to be silent; it begins about now."""
    forgotten: list[int] = []

    async def watch() -> None:
        while True:
            await RisingEdge(dut.forget)
            forgotten.append(1)

    cocotb.start_soon(watch())
    for _ in range(5):
        await cycles(dut, random.randrange(silence - 4))
        await _strobe(dut, "progress")
        assert dut.abort.value
    lasted = await _lasts(dut)
    assert silence <= lasted <= silence + 3
    assert len(forgotten) == 1, "what was outstanding is forgotten"


@cocotb.test()
async def after_a_reset_the_bus_has_to_be_silent(dut: Any) -> None:
    silence = await _reset(dut)
    await cycles(dut, 1)
    assert dut.abort.value
    assert not dut.failed.value
    await _check_silence(dut, silence)
    # What is on offer must not be forgotten.
    silence = await _reset(dut)
    dut.offering.value = 1
    await cycles(dut, silence + 20)
    assert dut.abort.value
    dut.offering.value = 0
    assert await _lasts(dut) <= 2


@cocotb.test()
async def after_an_error_of_the_protocol_the_bus_has_to_be_silent(dut: Any) -> None:
    await _run(dut)
    silence = arguments()[0].settle_cycles
    dut.quiet.value = 1
    await _strobe(dut, "protocol_error")
    await cycles(dut, 2)
    assert _status(dut) == {"protocol_error"}
    assert int(dut.error_addr.value) == ADDRESSES["protocol_addr"]
    await _check_silence(dut, silence)
    # The next abort trusts what is known of the bus.
    dut.busy.value = 0
    await _strobe(dut, "start")
    dut.busy.value = dut.quiet.value = 1
    await _strobe(dut, "read_error")
    await RisingEdge(dut.abort)
    assert await _lasts(dut) <= LEAST


@cocotb.test()
async def without_a_run_the_protocol_is_watched_too(dut: Any) -> None:
    await _run(dut)
    silence = arguments()[0].settle_cycles
    dut.busy.value = 0
    await _strobe(dut, "protocol_error")
    await RisingEdge(dut.abort)
    assert _status(dut) == set()
    await _check_silence(dut, silence)


@cocotb.test()
@cocotb.parametrize(before=[-1, 0, 1])
async def a_run_that_starts_when_the_protocol_is_broken_fails_or_waits(dut: Any, before: int) -> None:
    """The strobe comes so many cycles before that of the start. The sequencer looks at ``abort`` in the cycle of the
    start: if it is 1, it waits."""
    await _run(dut)
    dut.busy.value = 0
    await cycles(dut, 2)
    for cycle in range(3):
        dut.protocol_error.value = cycle == 1
        dut.start.value = cycle == 1 + before
        dut.busy.value = cycle > 1 + before
        await RisingEdge(dut.clk)
        assert not (dut.start.value and dut.abort.value)
    dut.start.value = dut.protocol_error.value = 0
    dut.busy.value = 1
    await cycles(dut, 3)
    assert dut.abort.value
    assert _status(dut) == {"protocol_error"}


@cocotb.test()
async def an_error_of_the_protocol_in_an_abort_is_not_forgotten(dut: Any) -> None:
    await _run(dut)
    silence = arguments()[0].settle_cycles
    await _strobe(dut, "read_error")
    await cycles(dut, 10)
    await _strobe(dut, "protocol_error")
    await cycles(dut, 2)
    assert _status(dut) == {"read_error"}
    dut.quiet.value = 1
    await _strobe(dut, "progress")
    await _check_silence(dut, silence)


@cocotb.test()
async def a_failed_run_is_not_held_up_by_answers_without_an_end(dut: Any) -> None:
    await _run(dut)
    patience = 16 * arguments()[0].settle_cycles
    dut.progress.value = 1
    await cycles(dut, patience + 100)
    await _strobe(dut, "aborted")
    await RisingEdge(dut.abort)
    await cycles(dut, patience - 2)
    assert not dut.given_up.value
    await cycles(dut, 5)
    assert dut.given_up.value
    assert dut.abort.value
    dut.busy.value = 0
    await _strobe(dut, "start")
    dut.busy.value = 1
    await cycles(dut, 5)
    assert not dut.given_up.value, "the next run waits as long"


@cocotb.test()
async def a_failed_run_is_not_held_up_by_silence(dut: Any) -> None:
    await _run(dut)
    silence = arguments()[0].settle_cycles
    await _strobe(dut, "aborted")
    await cycles(dut, silence - 5)
    assert not dut.given_up.value
    await _strobe(dut, "progress")
    await cycles(dut, silence - 5)
    assert not dut.given_up.value
    await cycles(dut, 8)
    assert dut.given_up.value
    assert dut.abort.value, "memory still owes answers"
    dut.busy.value = 0
    await cycles(dut, silence)
    assert dut.abort.value
    dut.quiet.value = 1
    assert await _lasts(dut) <= 2


@cocotb.test()
@cocotb.parametrize(limit=[1, 20])
async def silence_ends_a_run(dut: Any, limit: int) -> None:
    await _run(dut, 0)
    dut.limit.value = limit
    await _strobe(dut, "start")
    for _ in range(3):
        await cycles(dut, limit - 1)
        assert not dut.abort.value
        await _strobe(dut, "progress")
    await cycles(dut, limit + 4)
    assert dut.given_up.value
    assert dut.abort.value
    assert _status(dut) == {"timeout"}
    assert int(dut.error_addr.value) == ADDRESSES["read_addr"]
    # The next run begins while an answer of the bus is outstanding, and waits for it as long.
    dut.busy.value = 0
    await cycles(dut, 2)
    await _strobe(dut, "start")
    dut.busy.value = 1
    await RisingEdge(dut.clk)
    assert dut.abort.value
    assert _status(dut) == set()
    await cycles(dut, limit + 4)
    assert _status(dut) == {"timeout"}


@cocotb.test()
async def a_timeout_is_reported_beside_the_error_before(dut: Any) -> None:
    await _run(dut, 40)
    await _strobe(dut, "read_error")
    await cycles(dut, 50)
    assert _status(dut) == {"read_error", "timeout"}
    assert int(dut.error_addr.value) == ADDRESSES["read_addr"]


@cocotb.test()
async def the_watchdog_waits_with_a_run_that_waits_for_silence(dut: Any) -> None:
    silence = await _reset(dut)
    dut.limit.value = 5
    await _strobe(dut, "start")
    dut.busy.value = 1
    await cycles(dut, silence - 10)
    assert dut.abort.value
    assert _status(dut) == set()
    assert await _lasts(dut) <= 20
    assert _status(dut) == set()
    await cycles(dut, 10)
    assert _status(dut) == {"timeout"}


@cocotb.test()
async def the_watchdog_can_be_off(dut: Any) -> None:
    await _run(dut, 0)
    await cycles(dut, 300)
    assert not dut.abort.value
    assert not dut.failed.value
