"""Progress of long work: how much is done, how fast, and what time is left.

On a terminal it is a line that is drawn again and again; elsewhere a plain line is printed every half a minute. Both go
to the standard error output, so that a table can be sent to a file meanwhile.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from host.display.lines import Lines
from host.display.meter import Meter, Step, View
from host.update import Update

if TYPE_CHECKING:
    from host.display.bars import Bar

__all__ = ["model_progress", "resumed_progress", "silenced", "stage_progress", "work_progress"]

_DUMB = ("dumb", "unknown")
"""Values of ``TERM`` of terminals that cannot draw a line again."""
_SWITCH = "SEEDLM_PROGRESS"
"""Environment variable that is 0 where no progress is wanted."""
_LEFT = re.compile(r"(\d+) connections left")
_silent = False


@contextmanager
def silenced() -> Iterator[None]:
    """Show no progress of what runs within the block."""
    global _silent
    before, _silent = _silent, True
    try:
        yield
    finally:
        _silent = before


class _Meter(Meter):
    """A meter that shows no estimate which is used up: nothing is known of when such work ends."""

    def view(self) -> View:
        """Return what there is to show now."""
        view = super().view()
        return replace(view, left=None) if view.left is not None and round(view.left) <= 0 else view


def _display(meter: Meter, stream: TextIO) -> "Bar | Lines":
    """Return what draws or prints."""
    if stream.isatty() and os.environ.get("TERM", "").lower() not in _DUMB:
        with suppress(ImportError):  # not there yet while packages are installed
            from host.display.bars import Bar  # rich takes a while to import

            return Bar(meter, stream)
    return Lines(meter, stream)


@contextmanager
def _shown(steps: Sequence[Step], unit: str) -> "Iterator[Callable[..., None]]":
    """Show progress in the form that the standard error output takes; it yields what to call with an ``Update`` and,
    where amounts are of another unit, its name."""
    stream, meter = sys.stderr, _Meter(steps, unit)
    if _silent or stream is None or os.environ.get(_SWITCH) == "0":
        yield lambda *told: None
        return
    with _display(meter, stream) as display:
        yield display.update


@contextmanager
def model_progress() -> Iterator[tuple[Update, Update]]:
    """Show work on a model; it yields what to call for blocks, and what to call for bytes that are read.

    Either may be called at any time: the rate begins anew whenever another amount is counted.
    """
    with _shown((), "blocks") as update:
        yield (lambda what, done, total: update(what, done, total, "blocks"),
               lambda what, done, total: update(f"read {what}", done, total, "bytes"))


@contextmanager
def resumed_progress() -> Iterator[Update]:
    """Show work that takes up to days and goes on where it was; it yields what to call.

    Its rate leaves out what is done already at the first call, by an earlier run.
    """
    with _shown((), "parts") as update:
        yield update


@contextmanager
def work_progress(steps: Sequence[Step] = (), unit: str = "steps") -> Iterator[Update]:
    """Show anything that is counted; it yields what to call.

    Parameters
    ----------
    steps : sequence of Step
        The steps of the work, where they are known before it begins.
    unit : str
        What amounts are, a key of :data:`~host.display.meter.UNITS`.
    """
    with _shown(steps, unit) as update:
        yield update


@contextmanager
def stage_progress(steps: Sequence[Step]) -> Iterator[Callable[[str], None]]:
    """Show what a tool does that names its stages; it yields what to call with each.

    Of connections that are left to be routed, those at the first call are all.
    """
    most = 0
    with _shown(steps, "parts") as update:
        def stage(name: str) -> None:
            nonlocal most
            left = int(match[1]) if (match := _LEFT.search(name)) else 0
            most = max(most, left)
            update(name, most - left, most)

        yield stage
