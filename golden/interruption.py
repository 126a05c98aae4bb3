"""How a command ends when it is interrupted: by Ctrl-C, by SIGTERM, or by the end of its terminal.

It ends with one sentence on stderr and the exit status 128 + the number of the signal, which is 130 for Ctrl-C, and
leaves no process behind. First the work is unwound in order, by the exception :class:`Interrupted`: simulators and
devices are released, temporary files removed. That may take :data:`GRACE` seconds. Then, or at a second Ctrl-C, the
process ends at once, without exit handlers. Nothing is lost by that, because whatever is kept on the disk is complete
or not there at any moment (:mod:`host.compress.journal`, :mod:`golden.products`).

The interpreter itself answers a signal until :func:`guard` is called, which is in the first tenth of a second.
"""

# Little is imported here, because until it is there a signal ends in a traceback of the interpreter.
import _thread
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

__all__ = ["GRACE", "Interrupted", "complete", "guard", "leave_if_interrupted", "run"]

GRACE = 2.0
"""Seconds for the orderly end of a command."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GOES_ON = ("compress", "decompress", "sweep", "sim", "sim-paper", "area", "results")
"""Commands that find what they had finished when they are given again."""
_SHOW_CURSOR = b"\x1b[?25h\r\x1b[K"
"""What a terminal is sent, since a progress bar hides the cursor: show it, and clear the line (ECMA-48)."""

_received: list[int] = []
"""Signals that have been received."""
_watching = False
"""Whether a thread ends the program that does not end in order; else it ends at once."""
_complete = False
"""Whether the command has done its work, so that signals change nothing any more."""
_leaving = _thread.allocate_lock()


class Interrupted(BaseException):
    """The command is to end. No ordinary exception, so that nothing but the end of the command handles it."""


def _sentence(number: int) -> str:
    """Return what is said at the end."""
    name = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    return f"{what}: the same command " + ("goes on where this one stopped" if name in _GOES_ON else "begins anew")


def _leave(number: int) -> "NoReturn":
    """End the program now, and the processes that it has started."""
    if not _leaving.acquire(blocking=False):
        while True:  # another thread is about to end the program
            time.sleep(1)
    if _watching:  # nothing is started before
        from golden.processes import end_trees

        end_trees({os.getpid()}, themselves=False)
    try:
        if os.isatty(1):
            os.write(1, _SHOW_CURSOR)
        os.write(2, f"{_sentence(number)}\n".encode())
    except OSError:  # nobody is there to read it
        pass
    os._exit(128 + number)


def _answer(number: int, frame: "FrameType | None") -> None:
    """Handle a signal. Of several, the first one counts: the watching thread handles the others."""
    if _complete:
        return
    _received.append(number)
    if len(_received) > 1:
        return
    if not _watching:
        _leave(number)
    raise Interrupted


def _watch(descriptor: int) -> None:
    """End the program after a second signal, or :data:`GRACE` seconds after the first one. Python writes the numbers of
    signals to the pipe, even while the main thread is in a function of C."""
    import select

    number = 0
    while number not in _SIGNALS:
        number = os.read(descriptor, 1)[0]
    deadline = time.monotonic() + GRACE
    while (left := deadline - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0] and os.read(descriptor, 1)[0] in _SIGNALS:
            break
    if _received or not _complete:
        _leave(number)


def leave_if_interrupted() -> None:
    """End the program if a signal was received: whatever has happened since is a consequence of that."""
    if _received:
        _leave(_received[0])


def _replaced(usual: "Any") -> "Any":
    """Return a hook of the interpreter in place of the usual one: what it would print of an exception that nobody
    caught, or that could not be raised, is a consequence of the signal too, once there was one."""
    def hook(*details: "Any") -> None:
        leave_if_interrupted()
        usual(*details)

    return hook


def guard() -> None:
    """Handle signals from now on; to be called before anything else is imported.

    A signal that the caller ignores, as ``nohup`` and a shell's background jobs do, stays ignored.
    """
    sys.excepthook, sys.unraisablehook = _replaced(sys.excepthook), _replaced(sys.unraisablehook)
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _answer)


def _watch_over() -> None:
    """Begin the work that a signal ends in order, as far as it does so in time."""
    global _watching
    import select  # noqa: F401  imports in a thread must not meet a half-made module
    import threading

    import golden.processes  # noqa: F401

    threading.excepthook = _replaced(threading.excepthook)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    threading.Thread(target=_watch, args=(reading,), daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _watching = True


def complete() -> None:
    """Let signals change nothing any more: what is left of the work takes no time, and afterwards the same command
    would find nothing to go on with. Outside of a command this does nothing.

    Raises
    ------
    Interrupted
        When a signal was received, and somebody's code has lost the exception, as functions of C may do.
    """
    global _complete
    if _received:
        raise Interrupted
    _complete = True


def run(command: "Callable[[], None]") -> None:
    """Carry out a command, which a signal ends in order; to be called by the main thread, once, after :func:`guard`.

    What the command raises, such as SystemExit, is raised here. Signals change nothing afterwards.
    """
    _watch_over()
    try:
        command()
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        leave_if_interrupted()
