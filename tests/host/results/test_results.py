"""The results of the documentation: parts made, found again, stale, interrupted, failed; pages, tables and quotes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from golden.interruption import Interrupted
from golden.tree import ROOT
from host.errors import UserError
from host.results import run as running
from host.results.page import page, with_tables
from host.results.parts import PARTS, Command, Part, chosen
from host.results.quotes import Missing, Quote, Results, find, rendered, rewritten
from host.results.store import Made, Stored, digest, load, save, state
from host.tables.row import Row, column
from tests.faults.commands import running_with

VALUES = {"environment": {"command": "python -m host made-up", "commit": "0123456789", "machine": "a machine",
                          "date": "2026-11-27T01:02:03+00:00", "versions": {"python": "3.11"}}, "configuration": {}}


class MadeUpRow(Row):
    """A row of this test."""

    VIEW = ("format", "cycles")
    LABEL = "{format}"

    format: str = column("format")
    cycles: int = column("cycles", ",d")


def part(*commands: str, name: str = "made-up") -> Part:
    return Part(name, "A title", "A sentence.", 1, ("golden.lfsr",),
                tuple(Command(each, "made-up") for each in commands), MadeUpRow,
                kept=lambda row: row["format"] != "none")


def made(command: Command, cycles: int = 12345) -> Made:
    rows = [{"format": command.text, "cycles": cycles}, {"format": "none", "cycles": 1}]
    return Made({**VALUES, "results": rows}, {"speedup": "<svg/>"})


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of this test for docs/results and for what waits to be stored."""
    def kept_folder(name: str) -> Path:
        folder = tmp_path / "build" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    monkeypatch.setattr(running, "kept_folder", kept_folder)
    return tmp_path


def test_a_part(folders: Path) -> None:
    docs, two = folders / "docs", part("a", "b")
    assert state(two, docs) == "missing"
    running.make(two, docs, lambda command, may_fail: made(command))
    assert state(two, docs) == "up to date"
    assert {path.name for path in docs.iterdir()} == {"made-up.json", "made-up.speedup.svg"}
    stored = load(two, docs)
    assert stored
    assert [row["format"] for row in stored.rows] == ["a", "b"]
    assert list((folders / "build" / "results").glob("*.json")) == []


def test_stale_parts_are_found(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = folders / "docs"
    running.make(part("a"), docs, lambda command, may_fail: made(command))
    assert state(part("a --option"), docs) == "stale"
    assert state(replace(part("a"), modules=("golden.spec",)), docs) == "stale"
    monkeypatch.setattr("host.results.store.source_digest", lambda *modules: "of other sources")
    assert state(part("a"), docs) == "stale"


def test_sources_that_change_while_a_command_runs(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: Command, may_fail: bool) -> Made:
        monkeypatch.setattr("host.results.store.source_digest", lambda *modules: "of other sources")
        return made(command)

    running.make(part("a"), folders / "docs", run)
    assert state(part("a"), folders / "docs") == "stale"


@pytest.mark.parametrize("end", [Interrupted, running._Failed])
def test_an_interrupted_part_goes_on_where_it_was(folders: Path, end: type[BaseException]) -> None:
    docs, three, ran = folders / "docs", part("a", "b", "c"), list[str]()

    def run(fails: str) -> Callable[[Command, bool], Made]:
        def one(command: Command, may_fail: bool) -> Made:
            ran.append(command.text)
            if command.text == fails:
                raise end
            return made(command)

        return one

    with pytest.raises(end):
        running.make(three, docs, run("b"))
    assert state(three, docs) == "missing"
    running.make(three, docs, run(""))
    assert ran == ["a", "b", "b", "c"]
    assert state(three, docs) == "up to date"


def test_commands_are_run_as_a_user_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "REPORTS", tmp_path)
    with pytest.raises(running._Failed, match=r"^`python -m host sim --bus 7` ended with status 2$"):
        running.run(Command("sim --bus 7", "sim"), True)
    old = tmp_path / "made-up" / "report.json"
    old.parent.mkdir()
    old.write_text("{}")
    with pytest.raises(running._Failed, match=r"left no report$"):  # that of an earlier run does not count
        running.run(Command("--help", "made-up"), False)


RUN = """
from golden.interruption import guard, run
guard()
from host.results.parts import Command
from host.results.run import run as run_command
run(lambda: run_command(Command("bench-encode", "bench-encode"), False))
"""


def test_a_signal_ends_the_command_too(tmp_path: Path) -> None:
    """One sentence, as for every command, and nothing is left running."""
    mark = uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "results"], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "SEEDLM_BUILD": str(tmp_path), "SEEDLM_TEST_RUN": mark}, start_new_session=True)
    assert process.stdout
    assert process.stdout.readline() == "python -m host bench-encode\n"
    deadline = time.monotonic() + 60
    while len(running_with(mark)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "interrupted: the same command goes on where this one stopped\n")
    assert running_with(mark) == []


def results(folders: Path, monkeypatch: pytest.MonkeyPatch, fails: str, changed: list[str] | None = None) -> list[str]:
    """Make the parts "first" and "second", of which one may fail; return the names of those that were made, and the
    troubles."""
    ran: list[str] = []

    def make(each: Part) -> None:
        if each.name == fails:
            raise running._Failed("it failed")
        save(each, digest(each), [made(each.commands[0])], folders)
        ran.append(each.name)

    monkeypatch.setattr(running, "make", make)
    monkeypatch.setattr(running, "state", lambda each: state(each, folders))
    monkeypatch.setattr(running, "changed_sources", lambda: changed or [])
    monkeypatch.setattr(running, "pages", lambda stored: ({}, ["a trouble"] if fails == "quotes" else []))
    troubles = running.results([part("a", name="first"), part("b", name="second")])
    return [*ran, *troubles]


def test_a_part_that_fails_does_not_stop_the_others(folders: Path, monkeypatch: pytest.MonkeyPatch,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    assert results(folders, monkeypatch, "first") == ["second", "first failed: it failed"]
    assert capsys.readouterr().out.split("\n")[:2] == ["first           missing     about 1 min",
                                                       "second          missing     about 1 min"]
    assert results(folders, monkeypatch, "") == ["first"]  # the second one is there
    assert "second          up to date  about 1 min" in capsys.readouterr().out
    assert results(folders, monkeypatch, "") == []
    assert results(folders, monkeypatch, "quotes") == ["a trouble"]
    assert [each.name for each in running.waiting([part("a", name="first"), part("c", name="third")])] == ["third"]


def test_figures_are_of_a_commit(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^results are of a commit, and hw/config.py differs from it: commit or undo"):
        results(folders, monkeypatch, "", ["hw/config.py"])


def test_names_of_parts() -> None:
    assert chosen(" ") == list(PARTS.values())
    assert [each.name for each in chosen("roofline sim roofline")] == ["roofline", "sim"]
    with pytest.raises(UserError, match=r"^there is no part 'sims' of the results: PARTS are some of sim, .*board$"):
        chosen("sims")


def test_parts() -> None:
    """Sources exist, and no two parts share a report's name or a command."""
    for each in PARTS.values():
        assert len(digest(each)) == 64
    commands = [command.text for each in PARTS.values() for command in each.commands]
    assert len(set(commands)) == len(commands)


STORED = Stored(part("a"), "", ("speedup",), ({**VALUES, "results": [{"format": "a", "cycles": 1234}], "seconds": 1860},
                                              {**VALUES, "results": [], "failed": "too large"}))


def test_a_page() -> None:
    assert page(STORED) == (
        "# A title\n\nA sentence.\n\n| format | cycles |\n|---|---:|\n| a | 1,234 |\n\n"
        "- `python -m host made-up` failed: too large\n\n![speedup](made-up.speedup.svg)\n\n"
        "| made by | commit | date | took | machine |\n|---|---|---|---:|---|\n"
        "| `python -m host made-up` | 0123456 | 2026-11-27 | 31 min | a machine |\n"
        "| `python -m host made-up` | 0123456 | 2026-11-27 | - | a machine |\n"
        + "\nVersions: python 3.11. All rows: [made-up.json](made-up.json). `make results PARTS=made-up` makes this "
        "page anew.\n")


def test_tables_of_other_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.results.page.chosen", lambda name: [part(name=name)])
    text = "x\n<!-- results: made-up 'format=a|b' columns=cycles -->\n| old |\n\n<!-- results: other -->\n| stays |\n"
    assert with_tables(text, {"made-up": STORED}.get) == text.replace("| old |", "| cycles |\n|---:|\n| 1,234 |")
    for wrong in ("format=c", "columns=cycles,beats"):
        with pytest.raises(UserError, match=rf"^made-up has no such rows or columns: '{wrong}'; mend the marker"):
            with_tables(f"<!-- results: made-up {wrong} -->\n", {"made-up": STORED}.get)


def test_quotes() -> None:
    known = Results({"made-up": STORED}.get)
    quote = Quote("README.md", "takes {:,d} cycles, or {:.1f} %",
                  lambda of: (of.row("made-up", format="a").cycles, 12.34))
    other = Quote("README.md", "{} of them", lambda of: (of.row("other").cycles,))
    text = "It takes 9,999\ncycles, or 99.9 %. 7 of them."
    assert find(quote, text).groups() == ("9,999", "99.9")
    assert rendered(quote, known) == ["1,234", "12.3"]
    gone = Quote("README.md", "{} runs", lambda of: (of.row("made-up", format="c").cycles,))
    assert rewritten(text, [quote, other, gone], known) == (
        "It takes 1,234\ncycles, or 12.3 %. 7 of them.",
        ["in README.md, “{} runs” has to be mended by hand: made-up has no row with {'format': 'c'}"])
    with pytest.raises(Missing):
        rendered(other, known)
    with pytest.raises(LookupError, match=r"made-up has no row with \{'format': 'c'\}"):
        known.row("made-up", format="c")
    for wrong in ("It takes many cycles.", f"{text} {text}"):
        with pytest.raises(LookupError, match=r"^it stands [02] times in README.md, in place of once"):
            find(quote, wrong)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "made-up.json").write_text(json.dumps({"sources": 1}))
    with pytest.raises(UserError, match=r"made-up\.json.*remove it, and run `make results` again"):
        load(part("a"), tmp_path)
