"""Progress where there is no terminal: a plain line now and then, in a pipe, a file or the log of a CI."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import TextIO

from host.display.meter import Meter

__all__ = ["EVERY", "FIRST", "Lines"]

FIRST = 5.0
"""Seconds after which work is long: before them nothing is printed. New steps are printed as far apart."""
EVERY = 30.0
"""Seconds between two lines at most."""
_LOOK = 0.5
"""Seconds between two looks at the clock."""


class Lines:
    """Prints what a meter shows. Between the begin and the end of the block, a thread of its own looks at the clock, so
    that work that says nothing for minutes is reported, too.

    Parameters
    ----------
    meter : Meter
    stream : text stream
        Where lines go. When it takes none any more, the work goes on without them.
    clock : callable
        Returns seconds.
    """

    def __init__(self, meter: Meter, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._meter, self._stream, self._clock = meter, stream, clock
        self._last, self._wait, self._lock = clock(), FIRST, threading.Lock()
        self._ended = threading.Event()

    def update(self, what: str, done: float, total: float, unit: str = "") -> None:
        """Take an ``Update``; a new step is printed unless a line was printed just now."""
        if self._meter.update(what, done, total, unit):
            self._print_after(FIRST)

    def tick(self) -> None:
        """Print a line if one is due."""
        self._print_after(self._wait)

    def _print_after(self, seconds: float) -> None:
        """Print a line unless the last one, or the begin, is not so long ago."""
        with self._lock:
            now = self._clock()
            if now - self._last < seconds or self._ended.is_set():
                return
            self._last, self._wait = now, EVERY
            try:
                print(self._meter.view().words(), file=self._stream, flush=True)
            except (OSError, ValueError):  # nobody reads it any more
                self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK):
            self.tick()

    def __enter__(self) -> "Lines":
        threading.Thread(target=self._watch, name="progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
