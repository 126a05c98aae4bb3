"""Progress on a terminal, which the test plays, and in a pipe."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from golden.tree import ROOT
from host.display.meter import Step
from host.progress import model_progress, resumed_progress, silenced, stage_progress, work_progress


class Terminal:
    """A terminal of 80 columns, which is the standard error output."""

    def __init__(self) -> None:
        self._master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def drawn(self) -> str:
        """What was drawn until now."""
        os.write(self.slave, b"\0")  # so that there is something to read
        text = os.read(self._master, 1 << 16)
        while not text.endswith(b"\0"):
            text += os.read(self._master, 1 << 16)
        return text[:-1].decode()

    def close(self) -> None:
        os.close(self._master)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SEEDLM_PROGRESS")
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    with os.fdopen(terminal.slave, "w", buffering=1) as stream:
        monkeypatch.setattr("host.progress.sys", SimpleNamespace(stderr=stream))  # pytest puts its own in sys
        yield terminal
    terminal.close()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_shows_the_step_and_the_time(terminal: Terminal) -> None:
    steps = [Step((f"step {name}",), 100) for name in "abc"]
    with work_progress(steps) as update:
        update("step b [/x]", 0, 0)
        drawn = terminal.drawn()
        assert re.search(r"step 2 of 3 step b \[/x\] .* 0:00, 3:20 left", plain(drawn))
        assert "\x1b[1m" in drawn
        assert "36m" in drawn
        assert all(len(line.strip("\r")) <= 80 for line in plain(drawn).split("\n"))
    assert terminal.drawn().endswith("\x1b[2K")  # it is gone


def test_no_colours_where_the_user_wants_none(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with work_progress() as update:
        update("a", 0, 3)
        drawn = terminal.drawn()
    assert "step 1 of 3" in plain(drawn)
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|38;[0-9;]*)m", drawn)


def test_a_terminal_that_cannot_draw_gets_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with work_progress() as update:
        update("a", 0, 3)
        assert terminal.drawn() == ""  # none of them in the first seconds


def test_every_kind_is_drawn(terminal: Terminal) -> None:
    with model_progress() as (blocks, reading):
        reading("model.safetensors", 1e6, 4e6)
        blocks("q_proj", 5, 10)
        assert "read model.safetensors" in terminal.drawn()
    with resumed_progress() as update:
        update("a point", 1, 4)
        assert "25 %" in terminal.drawn()
    with stage_progress((Step(("placing",)), Step(("routing",), counted="routing,"))) as stage:
        stage("routing, 400 connections left")
        stage("routing, 100 connections left")
    with stage_progress((Step(("placing",)), Step(("routing",), counted="routing,"))) as stage:
        stage("placing, iteration 4")
        assert "step 1 of 2" in plain(terminal.drawn())


@pytest.mark.parametrize("quiet", [False, True])
def test_an_error_before_work_begins_draws_nothing(terminal: Terminal, quiet: bool) -> None:
    with pytest.raises(ValueError, match="no work"), model_progress():
        raise ValueError("no work")
    if quiet:
        with silenced(), work_progress() as update:
            update("a", 0, 3)
    assert terminal.drawn() == ""


def test_the_environment_switches_it_off(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDLM_PROGRESS", "0")
    with work_progress() as update:
        update("a", 0, 3)
    assert terminal.drawn() == ""


def test_an_error_before_work_begins_prints_nothing_in_a_pipe() -> None:
    done = subprocess.run([sys.executable, "-m", "host", "compress", "/nowhere", "out"], capture_output=True, text=True,

                          cwd=ROOT, check=False, env={**os.environ, "SEEDLM_PROGRESS": "1"})
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
