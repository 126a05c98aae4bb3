"""How far work is, and what time is left: measured with a clock, drawn by others."""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from host.printable import printable

__all__ = ["UNITS", "Meter", "Step", "View", "clock_text"]

Clock = Callable[[], float]
"""Returns seconds since any moment."""

UNITS: dict[str, tuple[str, float]] = {"blocks": ("blocks", 1), "bytes": ("MB", 1e6), "steps": ("", 1),
                                       "parts": ("", 1)}
"""What amounts may be: unit and divisor with which a rate is shown, or no unit where none is. ``steps`` are shown as
"step k of n", and ``parts`` as a percentage alone."""
_PRIOR = 5.0
"""Seconds for which what steps usually take is believed, before the steps of this run say more."""
_TOLD = 0.02
"""Least fraction of a step from which its duration is extrapolated."""


@dataclass(frozen=True)
class Step:
    """A step of work whose steps are known before it begins.

    Parameters
    ----------
    begins : tuple of str
        Beginnings of what an ``Update`` says during the step.
    seconds : float
        Usual duration on two cores. It has to be right beside the other steps only, as the clock corrects the rest.
    kind : str
        Steps of one kind are slower or faster together.
    counted : str
        Where what is said begins so, the amounts tell how far the step is; the empty string where none do.
    """

    begins: tuple[str, ...]
    seconds: float = 1.0
    kind: str = ""
    counted: str = ""


@dataclass(frozen=True)
class View:
    """What there is to show.

    Parameters
    ----------
    what : str
        What is at hand.
    step : tuple of int or None
        Number of the step, from 1 on, and number of steps.
    fraction : float or None
        Part of the step that is done, or of everything where there are no steps.
    rate : str
        Amount a second, with its unit; empty where none is known.
    elapsed : float
        Seconds since the work began.
    left : float or None
        Seconds until it ends, as far as is known.
    """

    what: str
    step: tuple[int, int] | None
    fraction: float | None
    rate: str
    elapsed: float
    left: float | None

    def words(self) -> str:
        """Return all of it as one line, for an output that is no terminal."""
        parts = [f"step {self.step[0]} of {self.step[1]}" if self.step else "", printable(self.what),
                 f"{100 * self.fraction:.0f} %" if self.fraction is not None else "", self.rate,
                 f"about {clock_text(self.left)} left" if self.left is not None else ""]
        return f"[{clock_text(self.elapsed)}] " + ", ".join(filter(None, parts))


def clock_text(seconds: float) -> str:
    """Return a duration as ``minutes:seconds``, with hours before them where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Meter:
    """Takes what work says of its progress, and knows what there is to show of it at any time.

    Parameters
    ----------
    steps : sequence of Step
        The steps of the work, in order, where they are known. A step that is never heard of was not necessary.
    unit : str
        What amounts are, a key of :data:`UNITS`.
    clock : callable
        Returns seconds.
    """

    def __init__(self, steps: Sequence[Step] = (), unit: str = "steps", clock: Clock = monotonic) -> None:
        self._steps, self._unit, self._clock, self._lock = tuple(steps), unit, clock, threading.Lock()
        self._start = self._entered = clock()
        self._what, self._at, self._heard = "", 0, False
        self._amount: tuple[float, float] = (0.0, 0.0)
        self._began = self._changed = (self._start, 0.0)  # when, and how much was done then
        self._spent: dict[str, float] = defaultdict(float)
        self._usual: dict[str, float] = defaultdict(float)

    def update(self, what: str, done: float, total: float, unit: str = "") -> bool:
        """Take an ``Update``, whose amounts may be of another unit than before; returns whether a new step began."""
        with self._lock:
            now, before = self._clock(), (self._step(), self._unit)
            self._what, self._unit = what, unit or self._unit
            if self._steps:
                self._enter(what, now)
            if self._steps and not (self._steps[self._at].counted and what.startswith(self._steps[self._at].counted)):
                return before[0] != self._step()
            if self._unit != before[1] or total != self._amount[1] or (self._steps and before[0] != self._step()):
                self._began = self._changed = (now, done)
            elif done != self._amount[0]:
                self._changed = (now, done)
            self._amount = (done, total)
            return before[0] != self._step()

    def _enter(self, what: str, now: float) -> None:
        """Go on to the step that is at hand, if it is a later one."""
        found = [n for n in range(self._at, len(self._steps)) if what.startswith(self._steps[n].begins)]
        if found and found[0] != self._at:
            step = self._steps[self._at]
            if self._heard:
                self._spent[step.kind] += now - self._entered
                self._usual[step.kind] += step.seconds
            self._at, self._entered, self._amount = found[0], now, (0.0, 0.0)
        self._heard = self._heard or bool(found)

    def _step(self) -> tuple[int, int] | None:
        """The number of the step and that of all; None where they are not known, or there is one."""
        if self._steps:
            return (self._at + 1, len(self._steps)) if len(self._steps) > 1 else None
        done, total = self._amount
        return (min(int(done) + 1, int(total)), int(total)) if self._unit == "steps" and total > 1 else None

    def _by_rate(self, now: float) -> float | None:
        """Seconds until the amount is done, at the rate since it began; None before there is one."""
        (began, first), (changed, done) = self._began, self._changed
        if done <= first or changed <= began:
            return None
        left = (self._amount[1] - done) * (changed - began) / (done - first)
        return max(left - (now - changed), 0.0)

    def _fraction(self) -> float | None:
        """The part of the amount that is done; None without an amount."""
        done, total = self._amount
        return min(done / total, 1.0) if total else None

    def _by_steps(self, now: float) -> float:
        """Seconds until the last step ends."""
        def expected(step: Step) -> float:
            return step.seconds * (self._spent[step.kind] + _PRIOR) / (self._usual[step.kind] + _PRIOR)

        fraction, measured = self._fraction(), self._by_rate(now)
        current = max(expected(self._steps[self._at]) - (now - self._entered), 0.0)
        if fraction and fraction > _TOLD and measured is not None:
            current = measured
        return current + sum(map(expected, self._steps[self._at + 1:]))

    def view(self) -> View:
        """Return what there is to show now."""
        with self._lock:
            now, fraction = self._clock(), self._fraction()
            (began, first), (changed, done) = self._began, self._changed
            name, size = UNITS[self._unit]
            rate = (f"{(done - first) / (changed - began) / size:,.{1 if size > 1 else 0}f} {name}/s"
                    if name and changed > began and done > first else "")
            counts = not self._steps and self._unit == "steps"  # the step's number says as much as a percentage would
            return View(self._what, self._step(), None if counts else fraction, rate, now - self._start,
                        self._by_steps(now) if self._steps else self._by_rate(now))
