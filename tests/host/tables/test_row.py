"""Rows: columns declared once, views of them, JSON, and tables."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass, fields, replace

import pytest

import host.tables
from host.tables.area import AreaRow
from host.tables.causes import CAUSES
from host.tables.layer import LayerRow, PaperRow
from host.tables.row import Column, Row, column
from host.tables.sweep import SweepRow
from host.tables.tables import cells, markdown, show
from hw.registers.register_map import COUNTERS


class MadeUpRow(Row):
    """A row of this test."""

    VIEW = ("matrix", "cycles", "speedup", "bit_exact")
    LABEL = "{matrix} on {memory}"

    matrix: str = column("matrix", doc="A matrix.")
    cycles: int = column("cycles", ",d", unit="cycles", doc="Its cycles.")
    speedup: float | None = column("speed-up", ".2f", default=None)
    bit_exact: bool = column("bit-exact")
    memory: str = column("memory", default="paper")
    context: int | None = column("context", default=None, optional=True)


ROWS = [MadeUpRow(matrix="q_proj", cycles=12345, speedup=3.984, bit_exact=True),
        MadeUpRow(matrix="total", cycles=7, bit_exact=False, context=9)]


def kinds() -> Iterator[type[Row]]:
    """The class of every report's rows."""
    for module in pkgutil.iter_modules(host.tables.__path__):
        found = importlib.import_module(f"host.tables.{module.name}")
        yield from (kind for kind in vars(found).values() if isinstance(kind, type) and issubclass(kind, Row)
                    and kind.__module__ == found.__name__ and kind.VIEW)


def test_columns() -> None:
    assert MadeUpRow.columns()[1] == Column("cycles", "cycles", ",d", "cycles", "Its cycles.")
    assert [each.key for each in MadeUpRow.columns()] == list(MadeUpRow.VIEW)
    assert [each.heading for each in MadeUpRow.columns(("bit_exact", "matrix"))] == ["bit-exact", "matrix"]
    assert MadeUpRow.column("memory").key == "memory"
    with pytest.raises(KeyError, match="nothing"):
        MadeUpRow.columns(("nothing",))


def test_a_row_is_made_whole_and_stays_as_it_is() -> None:
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'bit_exact'"):
        MadeUpRow(matrix="q_proj", cycles=1)  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError):
        ROWS[0].cycles = 2  # type: ignore[misc]
    assert replace(ROWS[0], cycles=2).cycles == 2


def test_records_are_what_json_holds() -> None:
    assert ROWS[0].record() == {"matrix": "q_proj", "cycles": 12345, "speedup": 3.984, "bit_exact": True,
                                "memory": "paper"}
    assert ROWS[1].record() == {"matrix": "total", "cycles": 7, "speedup": None, "bit_exact": False, "memory": "paper",
                                "context": 9}

    @dataclass(frozen=True)
    class Inner:
        bits: int

    class NestedRow(Row):
        inner: Inner = column("inner")

    assert NestedRow(inner=Inner(3)).record() == {"inner": {"bits": 3}}


def test_labels_and_differences() -> None:
    assert [row.label for row in ROWS] == ["q_proj on paper", "total on paper"]
    assert [row.differs for row in ROWS] == [False, True]
    assert not replace(ROWS[0], bit_exact=None).differs  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_report_describes_its_columns(kind: type[Row]) -> None:
    """Each field has a heading and a sentence; a number's format comes with it; views and labels name fields."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in names:
        shown = kind.column(name)
        assert shown.heading
        assert re.fullmatch(r"[A-Z‖“].*\.", shown.doc), (name, shown.doc)
    assert set(kind.VIEW) <= set(names)
    assert kind.LABEL
    assert kind.LABEL.format_map(dict.fromkeys(names, "value"))
    assert len({each.heading for each in kind.columns()}) == len(kind.VIEW)


def test_causes_are_the_engines_counters() -> None:
    """They are classes of cycles in the engine, and the same columns wherever cycles are shown."""
    assert {cause.name for cause in CAUSES} <= set(COUNTERS)
    for kind in (LayerRow, PaperRow, SweepRow):
        for cause in CAUSES:
            shown = kind.column(cause.name)
            assert (shown.heading, shown.spec, shown.unit, shown.doc) == (cause.heading, ",d", "cycles", cause.doc)


def test_an_unknown_field_of_some_rows_is_no_key() -> None:
    published = AreaRow(engine="paper", bus_bits=512, block="total", lut=1, ff=2, dsp=3, bram=4.5, luts_per_weight=5.0,
                        source="published")
    assert "family" not in published.record()
    assert replace(published, family="xc7").record()["family"] == "xc7"


def test_markdown() -> None:
    assert markdown(MadeUpRow.columns(), [row.record() for row in ROWS]) == (
        "| matrix | cycles | speed-up | bit-exact |\n"
        "|---|---:|---:|---|\n"
        "| q_proj | 12,345 | 3.98 | yes |\n"
        "| total | 7 | - | NO |\n")


def test_cells_of_a_record_of_another_version() -> None:
    assert cells({"matrix": "q_proj"}, MadeUpRow.columns()) == ["q_proj", "-", "-", "-"]
    with pytest.raises(ValueError, match="Unknown format code 'd'"):
        cells({"cycles": "many"}, MadeUpRow.columns())


def test_a_shown_table(capsys: pytest.CaptureFixture[str]) -> None:
    show("a title", MadeUpRow.columns(), ROWS, lambda row: row.matrix == "q_proj")
    printed = capsys.readouterr().out
    assert "a title" in printed
    for line in (r"matrix\W+cycles\W+speed-up\W+bit-exact", r"q_proj\W+12,345\W+3.98\W+yes", r"total\W+7\W+-\W+NO"):
        assert re.search(line, printed)
    assert re.search(r"yes *\n *\n *total", printed)
