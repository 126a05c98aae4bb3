"""Names that anyone may have chosen, in messages, tables, progress lines, charts and Markdown."""

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from host.display.bars import Bar
from host.display.meter import Meter
from host.errors import UserError
from host.plots.style import new_figure, save
from host.printable import LONGEST, printable, printable_lines
from host.report import table
from host.tables import tables
from host.tables.row import Row, column

NAMES = ("[/x]", "[bold]x", "[red", "$a$b$", "$\\frac$", "\x1b[2J", "a\nb", "a\rb", "\u202eabc", "\ud800", "x" * 9999,
         ":smile:", "a|b", "", "\\[x]", "\0", "link[link=https://x.invalid]y[/link]")


@pytest.mark.parametrize(("name", "shown"), [
    ("model.layers.0.weight", "model.layers.0.weight"), ("Größe €", "Größe €"), ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
    ("\u202egnp", "\\u202egnp"), ("\ud800", "\\ud800"), ("\U000e0041", "\\U000e0041"), ("a b\t", "a b\\t"),
    ("x" * LONGEST + " y", "x" * LONGEST + " y"), ("x" * (LONGEST + 1), "x" * 100 + "..." + "x" * 100)])
def test_printable(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert printable(Path(name)) == shown or "\0" in name


def test_messages_are_one_line() -> None:
    assert str(UserError("tensor a\nb in \x1bc: mend")) == "tensor a\\nb in \\x1bc: mend"
    assert printable_lines("a\nb\r") == "a\nb\\r"


class Named(Row):
    VIEW = ("name",)
    name: str = column("name", doc="A name.")


@pytest.mark.parametrize("name", NAMES)
def test_tables_and_progress_show_names_as_they_are(name: str, capsys: pytest.CaptureFixture[str],
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    table.show(name, [Named(name=name)])
    assert capsys.readouterr().out.count(printable(name)[:100]) >= 2  # the title and the row
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the stream for a terminal
    written, meter = io.StringIO(), Meter()
    with Bar(meter, written) as bar:
        bar.update(name, 1, 2)
    assert printable(name)[:100] in written.getvalue()
    assert printable(name)[:100] in meter.view().words()
    assert "\n" not in meter.view().words()


@pytest.mark.parametrize("name", ["[/x]", "$\\frac$", "\x1b[2J", "a|b", "\ud800"])
def test_charts_and_markdown(name: str, tmp_path: Path) -> None:
    figure = new_figure(4, 4)
    axes = figure.subplots()
    axes.plot([1, 2], label=f"label {name[:30]}")
    axes.set_title(name[:30])
    axes.set_xticks([0, 1], [printable(name)[:30]] * 2)
    figure.legend()
    save(figure, tmp_path, "chart")
    ET.parse(tmp_path / "chart.svg")  # which no control character may be in
    _, _, row = tables.markdown(Named.columns(), [{"name": name}]).splitlines()
    assert row.replace("\\|", "").count("|") == 2
