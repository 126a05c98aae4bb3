"""Commands of this project in processes of their own, which are interrupted or killed, and what they leave running."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from golden.tree import ROOT

__all__ = ["START", "Command", "moments", "running_with"]

START = 0.15
"""Seconds after the start of a process in which the interpreter has set itself up. Before, a signal is Python's own."""
_MARK = "SEEDLM_TEST_RUN"
"""Environment variable by which all processes of a command are found, since children inherit it."""


def running_with(mark: str) -> list[str]:
    """The command lines of all processes that have a mark in their environment, and are no zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{_MARK}={mark}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass  # it has ended since
    return found


def moments(count: int, longest: float, seed: int = 0) -> list[float]:
    """Random times after the start of a command at which to interrupt it, seconds."""
    rng = random.Random(seed)
    return [rng.uniform(START, longest) for _ in range(count)]


def _as_at_a_terminal() -> None:
    """Handle signals by default, which whoever runs the tests in the background may have changed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@dataclass
class Command:
    """``python -m host`` with some arguments.

    Parameters
    ----------
    arguments : list of str
    environment : dict
        Variables beside those of this process.
    """

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: uuid4().hex)

    def start(self) -> "subprocess.Popen[str]":
        """Start it as the first process of a group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "host", *self.arguments], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **self.environment, _MARK: self.mark},
            preexec_fn=_as_at_a_terminal, start_new_session=True)

    def run(self) -> float:
        """Run it to its end, and return the seconds that it took."""
        start = time.monotonic()
        process = self.start()
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        return time.monotonic() - start

    def interrupted(self, after: float, number: signal.Signals = signal.SIGINT, group: bool = True,
                    times: int = 1) -> bool:
        """Start it and send it a signal; return whether it had ended before.

        Parameters
        ----------
        after : float
            Seconds after its start.
        group : bool
            Whether the signal goes to all its processes, as Ctrl-C of a terminal does.
        times : int
            How often to send it, 0.1 seconds apart.
        """
        process = self.start()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=after)
        early = process.poll() is not None
        for n in range(times):
            if n:
                time.sleep(0.1)
            if process.poll() is None:
                (os.killpg if group else os.kill)(process.pid, number)
        out, err = process.communicate(timeout=60)
        where = f"{self.arguments[0]} after {after:.3f} s: {out}\n{err}"
        if early or process.returncode == 0:  # it had done its work when the signal came
            assert process.returncode == 0, where
            early = True
        else:
            assert process.returncode == 128 + number, where
            said = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
            assert err.startswith(f"{said}: the same command "), where
            assert err.count("\n") == 1, where
            assert "Traceback" not in out, where
        assert not running_with(self.mark), where
        return early
