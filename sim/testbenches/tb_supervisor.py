"""Supervisor: every error ends a run and leaves the address that it is about; the watchdog counts what it should."""

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.registers.register_map import ERRORS
from sim.bench.streams import cycles, start

STROBES = ("read_error", "write_error", "not_finite", "bad_descriptor")


def _status(dut: Any) -> set[str]:
    """The errors that STATUS reports."""
    return {name for n, name in enumerate(ERRORS) if int(dut.status.value) >> n & 1}


async def _run(dut: Any, limit: int = 0) -> None:
    """Reset, and start a run."""
    await start(dut, dut.start, dut.busy, dut.progress, dut.quiet, *(getattr(dut, name) for name in STROBES))
    dut.limit.value, dut.read_addr.value, dut.write_addr.value = limit, 0x1000, 0x2000
    dut.vector_addr.value, dut.descriptor_addr.value = 0x1040, 0x10C0
    dut.start.value = 1
    await cycles(dut, 1)
    dut.start.value, dut.busy.value = 0, 1
    await cycles(dut, 5)


async def _strobe(dut: Any, name: str) -> None:
    getattr(dut, name).value = 1
    await cycles(dut, 1)
    getattr(dut, name).value = 0


@cocotb.test()
@cocotb.parametrize(cause=list(STROBES))
async def errors_abort_until_the_bus_is_quiet(dut: Any, cause: str) -> None:
    await _run(dut)
    await _strobe(dut, cause)
    await cycles(dut, 1)
    assert not dut.abort.value, "abort rises two cycles after the strobe"
    await cycles(dut, 1)
    assert dut.abort.value
    assert _status(dut) == {cause}
    assert int(dut.error_addr.value) == {
        "read_error": 0x1000, "write_error": 0x2000, "not_finite": 0x1040, "bad_descriptor": 0x10C0}[cause]
    dut.read_addr.value = dut.write_addr.value = dut.vector_addr.value = dut.descriptor_addr.value = 0x3000
    for later in STROBES:  # the first is what counts
        await _strobe(dut, later)
    await cycles(dut, 10)
    assert dut.abort.value
    assert _status(dut) == {cause}
    assert int(dut.error_addr.value) < 0x3000
    dut.quiet.value = 1
    await cycles(dut, 2)
    assert not dut.abort.value
    assert _status(dut) == {cause}
    await _strobe(dut, "start")
    await RisingEdge(dut.clk)
    assert _status(dut) == set()


@cocotb.test()
async def errors_outside_a_run_are_none(dut: Any) -> None:
    await _run(dut)
    dut.busy.value = 0
    for cause in STROBES:
        await _strobe(dut, cause)
    await cycles(dut, 2)
    assert not dut.abort.value
    assert _status(dut) == set()


@cocotb.test()
@cocotb.parametrize(limit=[1, 20])
async def silence_ends_a_run(dut: Any, limit: int) -> None:
    await _run(dut, 0)
    dut.limit.value = limit
    await _strobe(dut, "start")
    for _ in range(3):
        await cycles(dut, limit - 1)
        assert not dut.expired.value
        await _strobe(dut, "progress")
    await cycles(dut, limit + 4)
    assert dut.expired.value
    assert dut.abort.value
    assert _status(dut) == {"timeout"}
    assert int(dut.error_addr.value) == 0x1000
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
async def the_watchdog_can_be_off(dut: Any) -> None:
    await _run(dut, 0)
    await cycles(dut, 300)
    assert not dut.abort.value
    assert not dut.expired.value
