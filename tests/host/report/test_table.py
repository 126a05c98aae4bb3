"""The table of a report: nothing is ever shortened; by default the columns that fit 80 characters."""

import importlib
import io
import pkgutil
import re
from collections.abc import Iterator

import pytest

import host.tables
from host.report.narrow import NARROW, narrow_columns
from host.report.table import show
from host.tables.layer import LayerRow
from host.tables.row import Row, column
from tests.host.made_up import partial_row

TERMINAL = 80


class Terminal(io.StringIO):
    """A standard output that says to be a terminal."""

    def isatty(self) -> bool:
        return True


class LongRow(Row):
    """A row of this test, with a name of any length."""

    VIEW = ("name", "cycles", "speedup")
    LABEL = "{name}"

    name: str = column("name")
    cycles: int = column("many cycles of the whole run", ",d")
    speedup: float = column("speed-up", ".3f")


def kinds() -> Iterator[type[Row]]:
    for module in pkgutil.iter_modules(host.tables.__path__):
        found = importlib.import_module(f"host.tables.{module.name}")
        yield from (kind for kind in vars(found).values() if isinstance(kind, type) and issubclass(kind, Row)
                    and kind.__module__ == found.__name__ and kind.VIEW)


def on_terminal(monkeypatch: pytest.MonkeyPatch, rows: list[Row], wide: bool = False) -> list[str]:
    """The lines that a terminal of 80 characters shows."""
    output = Terminal()
    monkeypatch.setattr("sys.stdout", output)
    monkeypatch.setenv("COLUMNS", str(TERMINAL))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    show("a title", rows, wide=wide)
    return output.getvalue().splitlines()


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_headings_fit_a_terminal(kind: type[Row]) -> None:
    """At most eight columns, whose longest words leave room for names; a class of more is in the list."""
    columns = narrow_columns(kind)
    assert len(columns) <= 8
    words = [max(map(len, each.heading.split())) for each in columns]
    assert sum(max(word, 8) for word in words) + 2 * len(columns) <= TERMINAL


def test_the_list_has_columns_of_the_view() -> None:
    for kind, keys in NARROW.items():
        assert set(keys) < set(kind.VIEW), kind


def test_a_pipe_gets_whole_words(capsys: pytest.CaptureFixture[str]) -> None:
    name = "model.layers.0." * 12
    assert show("a title", [LongRow(name=name, cycles=1 << 70, speedup=1.0)]) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert re.search(rf"^ {re.escape(name)} +{1 << 70:,} +1\.000 $", printed, re.MULTILINE)
    assert re.search("name +many cycles of the whole run +speed-up", printed)


def test_a_terminal_folds_names_and_headings(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "model.layers.0." * 8
    lines = on_terminal(monkeypatch, [LongRow(name=name, cycles=12345, speedup=1.0)])
    assert max(map(len, lines)) <= TERMINAL
    assert "…" not in "".join(lines)
    assert "".join(line.split()[0] for line in lines if "layers" in line or "model" in line) == name
    assert any(re.search(r"12,345 +1\.000", line) for line in lines)


def test_numbers_are_whole_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_terminal(monkeypatch, [LongRow(name="x", cycles=10**90, speedup=1.0)])
    assert f"{10**90:,}" in "".join(lines)


def test_few_columns_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    row = partial_row(LayerRow, matrix="down_proj", format="seedlm4", bits_per_weight=4.0, cycles=1_234_567,
                      beats=1_234_000, speedup=3.934, byte_ratio=3.954, limit_fraction=0.994, bit_exact=True)
    lines = on_terminal(monkeypatch, [row])
    assert max(map(len, lines)) <= TERMINAL
    assert "1,234,567" in "".join(lines)
    assert "1,234,000" not in "".join(lines)
    assert "1,234,000" in "".join(on_terminal(monkeypatch, [row], wide=True))
