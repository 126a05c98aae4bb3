"""Progress on a terminal: one line that is drawn again and again, and is gone when the work is done."""

import sys
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from host.display.meter import Meter, clock_text
from host.printable import printable

__all__ = ["Bar"]

_BAR_WIDTH = 20
_PER_SECOND = 4
"""How often the line is drawn anew."""


class _Said(ProgressColumn):
    """A part of what the meter shows. What is at hand may be a name from outside, whose brackets are no markup."""

    def __init__(self, meter: Meter, part: str) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis", ratio=1) if part == "what" else Column(no_wrap=True))
        self._meter, self._part = meter, part

    def render(self, task: Task) -> Text:
        view = self._meter.view()
        done = f"{100 * view.fraction:3.0f} %" if view.fraction is not None else ""
        left = "" if view.left is None else f", {clock_text(view.left)} left"
        return {"step": Text(f"step {view.step[0]} of {view.step[1]}" if view.step else "", "bold"),
                "what": Text(printable(view.what)), "done": Text(done, "green"), "rate": Text(view.rate),
                "time": Text(f"{clock_text(view.elapsed)}{left}", "cyan")}[self._part]


class Bar:
    """Draws what a meter shows, from the first ``Update`` on. Colours are left out where ``NO_COLOR`` is set.

    Parameters
    ----------
    meter : Meter
    stream : text stream
        The terminal.
    """

    def __init__(self, meter: Meter, stream: TextIO) -> None:
        self._meter, shown = meter, [_Said(meter, part) for part in ("step", "what", "done", "rate", "time")]
        # What is printed meanwhile is put above the line, unless it goes elsewhere.
        beside = bool(sys.stdout and sys.stdout.isatty())
        self._drawn = Progress(*shown[:2], BarColumn(_BAR_WIDTH), *shown[2:], console=Console(file=stream),
                               transient=True, refresh_per_second=_PER_SECOND, expand=True, redirect_stdout=beside)
        self._task = self._drawn.add_task("", total=None)
        self._begun = False

    def update(self, what: str, done: float, total: float, unit: str = "") -> None:
        """Take an ``Update``."""
        self._meter.update(what, done, total, unit)
        if not self._begun:
            self._drawn.start()
            self._begun = True
        step, fraction = self._meter.view().step, self._meter.view().fraction
        if fraction is None and step:
            fraction = (step[0] - 1) / step[1]
        self._drawn.update(self._task, total=None if fraction is None else 1.0, completed=fraction or 0.0)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn.stop()
