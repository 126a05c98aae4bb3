"""The standard output of a command, which may be closed, full, or a pipe that nobody reads any more."""

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Any

from host.errors import UserError
from host.printable import printable

__all__ = ["say", "set_aside", "usable_output"]


def say(sentence: str) -> None:
    """Print a sentence to the standard error output, if there is one."""
    try:
        if sys.stderr:
            print(sentence, file=sys.stderr, flush=True)
    except OSError:
        _silence(2)  # there is nowhere left to say it; the exit status does


def _silence(descriptor: int) -> None:
    """Put the null device in the place of an output that takes nothing, so that what is still to be written to it while
    the command ends does not fail once more."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


class _Output(io.FileIO):
    """The standard output, whose failures are those of the user's and not of a file that a command works on."""

    def write(self, content: Any) -> int | None:  # type: ignore[override]
        """Write some of the bytes. UserError when that fails; what is written after that is lost without a word.

        A reader that has read enough, such as ``head``, is no failure: SystemExit, with the status of programs that
        SIGPIPE ends.
        """
        try:
            return super().write(content)
        except BrokenPipeError:
            _silence(self.fileno())
            raise SystemExit(128 + signal.SIGPIPE) from None
        except OSError as error:
            _silence(self.fileno())
            raise UserError(f"cannot write to the standard output ({error.strerror}): send it to a file that has room, "
                            "or to a program that reads it") from error


def _require_open() -> None:
    """Refuse to start without a standard output.

    Whatever file is opened first would take the place of a descriptor that is closed, and what tools print would end
    in it. The null device takes that place.

    Raises
    ------
    UserError
        When the standard output is closed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the least descriptor that is free, which is this one
    if sys.stdout is None:
        raise UserError("the standard output is closed: send it to a file or to /dev/null")


@contextmanager
def usable_output() -> Iterator[None]:
    """Run a command within the block. Characters that the encoding of the standard output lacks are printed as escapes,
    and warnings for the user as one sentence.

    Raises
    ------
    UserError
        When the standard output is closed or cannot be written, at the latest when the block ends.
    SystemExit
        When it is a pipe that nobody reads any more.
    """
    _require_open()
    with warnings.catch_warnings():
        warnings.showwarning = partial(_tell, warnings.showwarning)
        yield from _written()


def _tell(otherwise: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Show a warning that is meant for the user as one sentence, and all others as Python does."""
    if category is UserWarning:
        say(f"note: {printable(message)}")
    else:
        otherwise(message, category, *where)


def _written() -> Iterator[None]:
    """Put a standard output that tells of its failures in the place of Python's while the caller goes on."""
    before = sys.stdout
    if before is not sys.__stdout__ or not isinstance(before, io.TextIOWrapper):  # a test looks at what is printed
        yield
        return
    before.flush()
    raw = _Output(before.fileno(), "wb", closefd=False)
    output = io.TextIOWrapper(io.BufferedWriter(raw), before.encoding, "backslashreplace",
                              line_buffering=before.line_buffering)
    sys.stdout = output
    try:
        yield
        output.flush()
    finally:
        sys.stdout = before


@contextmanager
def set_aside(quiet: bool) -> Iterator[None]:
    """Send what the block prints, and what programs that it starts print, to the standard error, or nowhere."""
    if sys.stdout:
        sys.stdout.flush()
    kept = os.dup(1)
    target = os.open(os.devnull, os.O_WRONLY) if quiet else os.dup(2)
    os.dup2(target, 1)
    os.close(target)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if quiet else sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
