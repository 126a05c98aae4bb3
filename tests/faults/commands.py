"""Commands of this project in processes of their own, which are interrupted or killed, and what they leave running."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from golden.tree import ROOT

__all__ = ["AS_INSTALLED", "CONFIG", "SHAPES", "START", "Command", "compress", "content", "in_folder", "moments",
           "results", "running_with", "sim"]

SHAPES = {"self_attn.q_proj": (64, 64), "self_attn.k_proj": (32, 64), "self_attn.v_proj": (32, 64),
          "self_attn.o_proj": (64, 64), "mlp.gate_proj": (96, 64), "mlp.up_proj": (96, 64), "mlp.down_proj": (64, 96)}
"""The matrices of a small Llama's layer."""
CONFIG = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
          "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 128}
"""Its config.json, as far as a sweep needs it."""

START = 0.15
"""Seconds after the start of a process in which the interpreter has set itself up. Before, a signal is Python's own."""
_MARK = "SEEDLM_TEST_RUN"
"""Environment variable by which all processes of a command are found, since children inherit it."""
AS_MODULE = ("-m", "host")
"""What is given to Python for ``python -m host``."""
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_MODULE, _FUNCTION = _PROJECT["scripts"]["seedlm-fpga"].split(":")
AS_INSTALLED = ("-c", f"import sys; from {_MODULE} import {_FUNCTION}; sys.exit({_FUNCTION}())")
"""What is given to Python for what pip writes into ``bin/seedlm-fpga``."""


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
    """The program with some arguments.

    Parameters
    ----------
    arguments : list of str
    environment : dict
        Variables beside those of this process.
    program : tuple of str
        :data:`AS_MODULE` or :data:`AS_INSTALLED`.
    """

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: uuid4().hex)
    program: tuple[str, ...] = AS_MODULE

    def start(self) -> "subprocess.Popen[str]":
        """Start it as the first process of a group of its own."""
        return subprocess.Popen(
            [sys.executable, *self.program, *self.arguments], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
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
        deadline = time.monotonic() + 5  # what was killed takes a moment to be gone
        while (left := running_with(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not left, where
        return early


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results(report: Path) -> object:
    """The rows of a report, without when and where it was made."""
    return json.loads(report.read_text())["results"]


def compress(model: Path, out: Path, *more: str) -> list[str]:
    """Arguments that compress a model, slice by slice."""
    return ["compress", str(model), str(out), "--format", "8,3,13", "--slice-weights", "1", *more]


def sim(model: Path) -> list[str]:
    """Arguments that run a model's first layer through a small engine."""
    return ["sim", "--model", str(model), "--formats", "seedlm4", "--bus", "32", "--memory", "ideal"]


def in_folder(out: Path, environment: dict[str, str]) -> dict[str, str]:
    """The environment of a command whose build folder is ``out``, where there are the simulators of ``environment``."""
    out.mkdir(exist_ok=True)
    for link in Path(environment["SEEDLM_BUILD"]).iterdir():
        if not (out / link.name).exists():
            (out / link.name).symlink_to(link)
    return environment | {"SEEDLM_BUILD": str(out)}
