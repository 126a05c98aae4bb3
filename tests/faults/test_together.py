"""Two runs of a command that are started together, into one output folder or with one build folder: each ends well or
is refused in a sentence, and what they leave is right."""

import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.commands import Command, compress, content, in_folder, results, running_with, sim

COUNTS = [2, pytest.param(50, marks=pytest.mark.faults)]
"""Double starts of each command."""


def together(first: Command, second: Command, apart: float) -> list[tuple[int, str]]:
    """Start two commands so many seconds apart, and return their exit statuses and what they say on stderr."""
    processes: list[subprocess.Popen[str]] = []
    for command in (first, second):
        if processes:
            time.sleep(apart)  # the moment is what is tried
        processes.append(command.start())
    ended = [process.communicate(timeout=300) for process in processes]
    assert not running_with(first.mark) + running_with(second.mark)
    return [(process.returncode, err) for process, (_, err) in zip(processes, ended, strict=True)]


def gaps(count: int, longest: float) -> list[float]:
    """Seconds between two starts: none, and random ones."""
    rng = random.Random(0)
    return [0.0, *(rng.uniform(0, longest) for _ in range(count - 1))]


@pytest.mark.parametrize("count", COUNTS)
def test_compress_into_one_folder(count: int, model: Path, environment: dict[str, str], tmp_path: Path) -> None:
    seconds = Command(compress(model, tmp_path / "whole"), environment).run()
    out = tmp_path / "out"
    for gap in gaps(count, seconds):
        ended = together(*(Command(compress(model, out), environment) for _ in range(2)), gap)
        assert 0 in [status for status, _ in ended], ended
        for status, err in ended:
            assert (status, err) == (0, "") or (status == 2 and "another run is writing to" in err
                                                and err.count("\n") == 1), ended
        assert content(out) == content(tmp_path / "whole")
        shutil.rmtree(out)


@pytest.mark.parametrize("count", COUNTS)
def test_sim_with_one_build_folder(count: int, model: Path, environment: dict[str, str], tmp_path: Path) -> None:
    seconds = Command(sim(model), in_folder(tmp_path / "first", environment)).run()
    wanted, out = results(tmp_path / "first" / "sim" / "report.json"), tmp_path / "out"
    for gap in gaps(count, seconds):
        ended = together(*(Command(sim(model), in_folder(out, environment)) for _ in range(2)), gap)
        assert ended == [(0, "")] * 2
        assert results(out / "sim" / "report.json") == wanted
        shutil.rmtree(out)


@pytest.mark.faults
def test_sim_while_everything_is_built(model: Path, tmp_path: Path) -> None:
    Command(sim(model), {"SEEDLM_BUILD": str(tmp_path / "first")}).run()
    for gap in (0, 0.3, 3, 10):
        out = tmp_path / "out"
        ended = together(*(Command(sim(model), {"SEEDLM_BUILD": str(out)}) for _ in range(2)), gap)
        assert ended == [(0, "")] * 2
        assert results(out / "sim" / "report.json") == results(tmp_path / "first" / "sim" / "report.json")
        shutil.rmtree(out)
