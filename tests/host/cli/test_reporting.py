"""Options that all commands share, and the end of each command's help."""

import inspect
import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from golden.tree import ROOT
from host import folders
from host.cli import main as cli
from host.cli.examples import EXAMPLES
from host.tables.layer import LayerRow
from tests.host.made_up import partial_row

GROUP = typer.main.get_command(cli.app)
COMMANDS = {command.__name__.replace("_", "-"): command for command, _ in cli._COMMANDS}
SHARED = ["--json", "--quiet", "--wide", "--out"]
TINY = ("bench-encode", "--formats", "4,2,3", "--modes", "paper", "--blocks", "64", "--numpy-blocks", "1")


def options(command: str) -> Iterator[tuple[str, str, str]]:
    """Name, type and help of each option of a command."""
    for parameter in GROUP.commands[command].params:  # type: ignore[attr-defined]
        if parameter.opts[0].startswith("--"):
            yield parameter.opts[0], str(parameter.type_descriptor.annotation), parameter.help or ""


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["host", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_with_a_report_have_the_same_options(name: str) -> None:
    """Also those of others: what calls the one writer of reports is marked by the one decorator."""
    source = inspect.getsource(inspect.unwrap(COMMANDS[name]))
    given = [option for option, _, _ in options(name)]
    if "finish(" in source:
        assert given[-4:] == SHARED, f"{name} needs @reports of host/cli/reporting.py"
    elif "inventory(" in source:
        assert set(SHARED[:3]) <= set(given)
    else:
        assert "--json" not in given


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_is_one(name: str) -> None:
    """It is parsed as a shell and the command line would, fits a line, and ends the help."""
    words = shlex.split(EXAMPLES[name].partition(" > ")[0])
    assert words[0] == name
    command = GROUP.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, words[1:])
    assert command.epilog == f"Example: seedlm-fpga {EXAMPLES[name]}"
    assert len(command.epilog) <= 78


def test_an_option_has_one_name_and_one_form() -> None:
    """Options that take several names are plurals; those that take one are not."""
    kinds: dict[str, set[str]] = {}
    for command in COMMANDS:
        for name, kind, text in options(command):
            kinds.setdefault(name, set()).add(kind)
            if "separated by blanks" in text:
                assert name.endswith("s"), f"{command} {name} takes several"
            elif "preset, one of" in text or text.startswith("Format "):
                assert not name.endswith("s"), f"{command} {name} takes one"
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}


def layer_row() -> LayerRow:
    return partial_row(LayerRow, matrix="q_proj", format="seedlm4", bits_per_weight=4.0, cycles=9, beats=7,
                       limit_fraction=0.5, bit_exact=False)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """`sim-paper` without a simulation, which prints on its way; the build folder."""
    def simulate(*_: object) -> list[LayerRow]:
        print("on the way")
        subprocess.run(["echo", "a program says"], check=True)
        return [layer_row()]

    monkeypatch.setattr(folders, "REPORTS", tmp_path / "build")
    monkeypatch.setattr("host.measure.layer.simulate", simulate)
    monkeypatch.setattr("host.measure.published.beside_published", lambda rows: rows)
    return tmp_path / "build"


def test_json_is_all_that_is_printed(simulated: Path, monkeypatch: pytest.MonkeyPatch,
                                     capfd: pytest.CaptureFixture[str]) -> None:
    """Also when results differ from golden, which the exit status says."""
    assert run(monkeypatch, "sim-paper", "--json") == 1
    printed = capfd.readouterr()
    assert json.loads(printed.out)["results"][0]["cycles"] == 9
    assert printed.out == (simulated / "sim-paper" / "report.json").read_text()
    for said in ("on the way", "a program says", "q_proj", "failed: results differ from golden: q_proj seedlm4"):
        assert said in printed.err


def test_quiet_prints_errors_only(simulated: Path, monkeypatch: pytest.MonkeyPatch,
                                  capfd: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "sim-paper", "--quiet") == 1
    assert capfd.readouterr() == ("", "failed: results differ from golden: q_proj seedlm4\n")
    assert (simulated / "sim-paper" / "report.json").exists()
    assert run(monkeypatch, "sim-paper", "-q", "--json") == 1
    assert json.loads(capfd.readouterr().out)["results"]


def test_few_columns_or_all(simulated: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
                            ) -> None:
    run(monkeypatch, "sim-paper")
    printed = capfd.readouterr().out
    assert "stalled" not in printed
    assert "--wide shows 8 more columns" in printed
    assert "stalled" in (simulated / "sim-paper" / "report.md").read_text()
    run(monkeypatch, "sim-paper", "--wide")
    printed = capfd.readouterr().out
    assert "stalled" in printed
    assert "--wide" not in printed


def test_a_folder_for_the_report(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                 capfd: pytest.CaptureFixture[str]) -> None:
    """It is made, taken again for the next report, and refused where it holds other files."""
    mine = tmp_path / "mine" / "report"
    for _ in range(2):
        assert run(monkeypatch, "sim-paper", "--out", str(mine)) == 1
        assert f"report: {mine}/report.json, and beside it report.md" in capfd.readouterr().out
    assert {path.name for path in mine.iterdir()} == {"report.json", "report.md"}
    assert not any((simulated / "sim-paper").iterdir())
    (tmp_path / "notes.txt").touch()
    assert run(monkeypatch, "sim-paper", "--out", str(tmp_path)) == 2
    assert capfd.readouterr().err == (f"error: {tmp_path} holds other files: give a new or empty folder, or one with "
                                      "an earlier report\n")
    assert run(monkeypatch, "sim-paper", "--out", str(tmp_path / "notes.txt" / "x")) == 2
    assert "make it writable, or give another one with --out" in capfd.readouterr().err
    assert run(monkeypatch, "sim-paper", "--memory", "ddr9", "--out", str(tmp_path / "none")) == 2
    assert not (tmp_path / "none").exists()


def seconds(*words: str) -> float:
    """Of a processor's time, since others may be at work, too; the best of three."""
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False,
                       env={**os.environ, "COLUMNS": "80"})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(3))


@pytest.mark.parametrize("words", [["--help"], ["sim", "--help"], ["sim", "--bogus"]])
def test_the_start_takes_half_a_second(words: list[str]) -> None:
    """Or, on a machine that is slow or busy, little more than the libraries of the command line and its help take."""
    assert seconds("-m", "host", *words) < max(0.5, 1.6 * seconds("-c", "import typer.main, typer.rich_utils"))
