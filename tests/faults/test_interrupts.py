"""Ctrl-C, SIGTERM and the end of a terminal at random moments of commands: one sentence, the status 128 + the number of
the signal, nothing left running, and the same command goes on to the same bytes. `make test` tries a few moments, `make
faults` 50 of each command."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.commands import (
    AS_INSTALLED,
    CONFIG,
    START,
    Command,
    compress,
    content,
    in_folder,
    moments,
    results,
    sim,
)

COUNTS = [1, pytest.param(50, marks=pytest.mark.faults)]
"""Moments of each command."""
KINDS = [(signal.SIGINT, True, 1), (signal.SIGINT, False, 1), (signal.SIGINT, True, 2), (signal.SIGTERM, False, 1),
         (signal.SIGHUP, True, 1)]
"""Signals, whether they go to all processes of the command, and how often."""


def try_moments(command: Callable[[Path], Command], outcome: Callable[[Path], object], folder: Path, count: int,
                again: bool = True) -> None:
    """Interrupt a command that writes to a folder at some moments, each time with a new folder, and let it go on.

    Parameters
    ----------
    command : callable
        The command for a folder.
    outcome : callable
        What it leaves in the folder, which is the same after an interruption.
    again : bool
        Whether a command that had ended when the signal came accepts its own result.
    """
    seconds = command(folder / "whole").run()
    if count > 1:  # the first run may have built kernels and simulators
        seconds = command(folder / "second").run()
    whole, early = outcome(folder / "whole"), 0
    for n, moment in enumerate(moments(count, max(seconds, 2 * START), seed=len(folder.name))):
        out = folder / f"out-{n}"
        ended = command(out).interrupted(moment, *KINDS[n % len(KINDS)])
        if again or not ended:
            command(out).run()
        assert outcome(out) == whole, f"after {moment} s"
        shutil.rmtree(out)
        early += ended
    assert early < max(count, 2)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["alone", "processes"])
def test_compress(more: tuple[str, ...], count: int, model: Path, environment: dict[str, str], tmp_path: Path) -> None:
    try_moments(lambda out: Command(compress(model, out, *more), environment), content, tmp_path, count)


@pytest.mark.parametrize("count", COUNTS)
def test_decompress(count: int, model: Path, environment: dict[str, str], tmp_path: Path) -> None:
    Command(compress(model, tmp_path / "small"), environment).run()
    try_moments(lambda out: Command(["decompress", str(tmp_path / "small"), str(out)], environment), content, tmp_path,
                count, again=False)


@pytest.mark.parametrize("count", COUNTS)
def test_sim(count: int, model: Path, environment: dict[str, str], tmp_path: Path) -> None:
    try_moments(lambda out: Command(sim(model), in_folder(out, environment)),
                lambda out: results(out / "sim" / "report.json"), tmp_path, count)


@pytest.mark.parametrize("count", COUNTS)
def test_sweep(count: int, environment: dict[str, str], tmp_path: Path) -> None:
    shape = tmp_path / "tiny.json"
    shape.write_text(json.dumps(CONFIG))
    arguments = ["sweep", "--models", str(shape), "--formats", "seedlm4", "--memories", "ideal", "--bus", "32",
                 "--exact", "--matrices", "layer lm_head", "--workers", "2"]
    try_moments(lambda out: Command(arguments, in_folder(out, environment)),
                lambda out: results(out / "sweep" / "report.json"), tmp_path, count)


@pytest.mark.faults
def test_while_everything_is_built(model: Path, tmp_path: Path) -> None:
    """Each time the build folder is empty: the kernel, the Verilog and the simulator are made when the signal comes."""
    try_moments(lambda out: Command(sim(model), {"SEEDLM_BUILD": str(out)}),
                lambda out: results(out / "sim" / "report.json"), tmp_path, 10)


@pytest.mark.parametrize("arguments", [["bench-encode"], ["quality"], ["explore"], ["registers"]])
def test_other_commands(arguments: list[str], environment: dict[str, str]) -> None:
    """They are interrupted early on, during their imports or just after."""
    Command(arguments, environment).interrupted(START + 0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_installed_program(number: signal.Signals, model: Path, environment: dict[str, str],
                               tmp_path: Path) -> None:
    """It is interrupted during its imports, as ``python -m host`` is."""
    command = Command(compress(model, tmp_path / "out"), environment, program=AS_INSTALLED)
    assert not command.interrupted(START + 0.1, number)
