"""Progress where there is no terminal."""

import io

from host.display.lines import EVERY, FIRST, Lines
from host.display.meter import Meter
from tests.host.display.clock import Clock


def lines(unit: str = "steps") -> tuple[Clock, io.StringIO, Lines]:
    clock, stream = Clock(), io.StringIO()
    return clock, stream, Lines(Meter(unit=unit, clock=clock), stream, clock)


def test_short_work_prints_nothing() -> None:
    clock, stream, shown = lines()
    for number in range(4):
        shown.update("a", number, 4)
        clock.now += FIRST / 5
        shown.tick()
    assert stream.getvalue() == ""


def test_work_that_says_nothing_is_reported_every_half_a_minute() -> None:
    clock, stream, shown = lines("blocks")
    shown.update("q_proj", 0, 1000)
    for _ in range(95):  # seconds
        clock.now += 1
        shown.tick()
    assert stream.getvalue().splitlines() == [
        "[0:05] q_proj, 0 %", "[0:35] q_proj, 0 %", "[1:05] q_proj, 0 %", "[1:35] q_proj, 0 %"]
    assert EVERY <= 30


def test_a_new_step_is_printed_at_once_but_not_in_crowds() -> None:
    clock, stream, shown = lines()
    shown.update("a", 0, 9)
    for step, seconds in ((1, 20), (2, 1), (3, 1), (4, 20)):
        clock.now += seconds
        shown.update(f"step\n{step}", step, 9)
    first, last = stream.getvalue().splitlines()
    assert first.startswith("[0:20] step 2 of 9, step\\n1, about ")  # a name cannot print lines of its own
    assert last.startswith("[0:42] step 5 of 9, step\\n4, about ")


def test_nobody_reads() -> None:
    clock, stream, shown = lines()
    stream.close()
    shown.update("a", 0, 9)
    clock.now += EVERY
    shown.tick()
    shown.update("b", 1, 9)


def test_nothing_is_printed_after_the_end() -> None:
    clock, stream, shown = lines()
    with shown:
        shown.update("a", 0, 9)
    clock.now += EVERY
    shown.tick()
    assert stream.getvalue() == ""
