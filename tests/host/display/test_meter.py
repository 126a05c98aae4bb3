"""What is said of progress, by a clock that the test turns."""

import pytest

from host import progress
from host.display.meter import Meter, Step, clock_text
from tests.host.display.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_time_left_goes_by_the_rate_and_counts_down(clock: Clock) -> None:
    meter = Meter(unit="bytes", clock=clock)
    meter.update("read", 1e6, 11e6)  # the first megabyte is of an earlier run
    assert (meter.view().left, meter.view().rate) == (None, "")
    clock.now += 10
    meter.update("read", 3e6, 11e6)
    assert meter.view().left == pytest.approx(40)
    assert meter.view().rate == "0.2 MB/s"
    assert meter.view().fraction == pytest.approx(3 / 11)
    clock.now += 15
    assert meter.view().left == pytest.approx(25)
    clock.now += 60
    assert meter.view().left == 0  # it takes longer, and never less than nothing


def test_another_amount_begins_a_rate_of_its_own(clock: Clock) -> None:
    meter = Meter(unit="bytes", clock=clock)
    for unit, amounts in (("bytes", (0, 4e6)), ("blocks", (0, 50))):
        for done in amounts:
            meter.update("q_proj", done, 2 * amounts[1], unit)
            clock.now += 5
    assert (meter.view().rate, meter.view().elapsed) == ("10 blocks/s", 20)


def test_counted_steps(clock: Clock) -> None:
    meter = Meter(clock=clock)
    assert meter.update("a", 0, 3)
    assert meter.view().words() == "[0:00] step 1 of 3, a"
    clock.now += 60
    assert meter.update("b", 1, 3)
    assert meter.view().words() == "[1:00] step 2 of 3, b, about 2:00 left"
    assert not meter.update("b still", 1, 3)
    assert meter.update("c", 2, 3)
    meter.update("", 3, 3)
    assert meter.view().step == (3, 3)


STEPS = [Step(("a: compress",), 10, "compress", "a: compress"), Step(("a: build",), 20, "build"),
         Step(("b: compress",), 10, "compress", "b: compress"), Step(("b: build",), 20, "build")]


def test_the_plan_says_what_is_left_and_the_run_corrects_it(clock: Clock) -> None:
    meter = Meter(STEPS, clock=clock)
    meter.update("a: compress q_proj", 0, 100)
    assert (meter.view().step, meter.view().left) == ((1, 4), 60)
    clock.now += 10
    meter.update("a: compress q_proj", 50, 100)
    assert (meter.view().fraction, meter.view().left) == (0.5, 10 + 50)  # by the rate of this step
    clock.now += 10
    meter.update("a: build the simulator", 0, 8)
    assert (meter.view().step, meter.view().fraction) == ((2, 4), None)  # its amounts are not of this step
    assert meter.view().left == pytest.approx(20 + 10 * 25 / 15 + 20)  # compression is slower than usual
    clock.now += 60
    assert meter.view().left == pytest.approx(10 * 25 / 15 + 20)


def test_a_step_that_is_not_necessary_is_passed_over(clock: Clock) -> None:
    meter = Meter(STEPS, clock=clock)
    assert not meter.update("something else", 0, 1)  # before anything known: the first step
    assert meter.update("a: build", 0, 1)
    assert meter.update("b: build", 0, 1)
    assert meter.view().step == (4, 4)
    assert not meter.update("a: build", 0, 1)  # steps never go back
    assert meter.view().step == (4, 4)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600, "1:00:00"),
                                               (90_061, "25:01:01")])
def test_durations(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_an_estimate_that_is_used_up_is_not_shown(clock: Clock) -> None:
    meter = progress._Meter([Step(("",), 10)], clock=clock)
    meter.update("installing", 0, 0)
    clock.now += 9
    assert meter.view().words() == "[0:09] installing, about 0:01 left"
    clock.now += 9
    assert meter.view().words() == "[0:18] installing"
