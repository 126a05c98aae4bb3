"""Processes that this project starts: kept from the keys of its terminal, and ended with all that they have started."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["away_from_keys", "below", "end_trees"]

_PATIENCE = 5.0
"""Seconds in which a process that was killed is gone, unless the kernel holds it in a system call."""


@contextmanager
def away_from_keys() -> Iterator[None]:
    """Start processes in the block that Ctrl-C does not reach.

    The terminal sends Ctrl-C to every process, and only the first one of a command answers it: it ends the others. A
    process inherits the signals that are blocked where it was started, from its first moment on.
    """
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # multiprocessing's own helper is started first, as its start lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _parents() -> dict[int, int]:
    """Return the number of the parent of each process that is alive, by its own number, as Linux tells it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):  # it has ended since
                # The second field is a name in parentheses, which may hold anything; see proc(5).
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":  # a zombie has ended
                    parents[int(entry.name)] = int(parent)
    return parents


def below(roots: Iterable[int]) -> set[int]:
    """Return the numbers of all processes that these have started, and of those that they have started in turn."""
    parents, found = _parents(), set[int]()
    wanted = set(roots)
    while wanted:
        wanted = {process for process, parent in parents.items() if parent in wanted} - found
        found |= wanted
    return found


def _send(processes: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes, of which some may have ended."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def end_trees(roots: Iterable[int], themselves: bool = True) -> None:
    """Kill processes and all that are below them, and wait until those below are gone.

    They are stopped first, from the roots on: what is stopped starts no further process.

    Parameters
    ----------
    roots : iterable of int
        Numbers of processes.
    themselves : bool
        Whether to kill the roots too, or only what is below them.
    """
    roots = set(roots)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        stopped = set[int]()
        while found := (below(roots) | (roots if themselves else set())) - stopped:
            _send(found, signal.SIGSTOP)
            stopped |= found
        _send(stopped, signal.SIGKILL)
        if themselves or not stopped:
            return
        time.sleep(0.005)
