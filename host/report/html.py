"""The page of all reports: tables, charts and key figures, as one HTML file that needs nothing else."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from host.plots.scheme import LIGHT, without_scheme
from host.regular_file import open_regular
from host.report.kinds import SOURCES, Kind, Part
from host.report.reader import Report
from host.report.tiles import Tile, exactness, tiles
from host.tables.row import Column
from host.tables.tables import cells

__all__ = ["Section", "page", "section"]

_SOURCE = Column("source", "source", doc="How the numbers were obtained.")
_FOLDER = Path(__file__).with_name("page")
_COLOURS = {"ink": "currentColor", "page": "var(--surface)", "line": "var(--line)"}
"""Colours of the page, by what they are in a chart."""
_CAPTIONS = {
    "speedup": "Speed-up over FP16 on the same memory; the lines are what the bytes alone allow.",
    "roofline": "Weights a cycle against weights for each byte, under what memories can bring (slanted) and what the "
                "lanes of each engine can multiply (level); and the share of the memory's limit that is reached.",
    "cycles": "Where the cycles went: above beside FP16's; below those in which no beat came.",
    "tokens": "Tokens a second of whole models.",
    "timeline": "At each stream between stages, how the cycles go: over all of the run, where one matrix follows "
                "another, and at the end.",
    "area": "Cells of whole engines, beside the published ones.",
    "quality": "Relative error over all tensors, by method; the lines reach from the best tensor to the worst.",
    "explore": "Relative error against bits a weight.",
}


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, what it is sorted by, its CSS class, and what follows the tag of a source."""

    text: str
    key: str
    kind: str
    note: str = ""


@dataclass(frozen=True)
class Heading:
    """The heading of a column: its text, whether numbers are below it, and what they are."""

    text: str
    numeric: bool
    doc: str


@dataclass(frozen=True)
class Table:
    """A table of a section; ``folded`` shows its caption only, until one opens it."""

    caption: str
    headings: list[Heading]
    rows: list[list[Cell]]
    folded: bool


@dataclass(frozen=True)
class Figure:
    """A chart, drawn in the colours of the page, and its caption."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """What the page says of the reports of one kind; name, title, command and how are those of their Kind."""

    name: str
    title: str
    command: str
    how: str
    figures: list[Figure]
    tables: list[Table]
    tiles: list[Tile]
    reports: list[Report]


def _kind(path: Path) -> str:
    """Return what a chart shows: of the name of a file such as ``cycles-ddr4-2400.svg``, the part before the memory."""
    return path.stem.partition("-")[0]


def _figure(path: Path, prefix: str) -> Figure:
    """Return an SVG file as a part of the page.

    Its identifiers get a prefix, as those of two charts may be equal. Black, white and grey become the colours of the
    page, which follow the reader's light or dark scheme.
    """
    caption = _CAPTIONS.get(_kind(path), path.stem)
    with open_regular(path, "remove it, and make the report again") as file:
        text = without_scheme(file.read().decode())
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg"):], flags=re.DOTALL)
    label = Markup.escape(f"chart {path.stem}: {caption}")
    opening, _, drawing = text.partition(">")
    opening = re.sub(r'\s(width|height)="[^"]*"', "", opening)
    text = f'{opening} role="img" aria-label="{label}">{drawing}'
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    for what, colours in LIGHT.items():
        for colour in colours:
            text = text.replace(colour, _COLOURS[what])
    return Figure(Markup(re.sub(r"\s*\n\s*", "\n", text)), caption)


def _cell(value: object, text: str, key: str, numeric: bool) -> Cell:
    """Return the cell of a value: numbers are sorted by value, all else by its text, and what is missing comes last."""
    if key == "source":
        source = "-" if value is None else str(value)
        return Cell(source, text, "source", text.removeprefix(source))
    if isinstance(value, bool) or value is None or not numeric:
        return Cell(text, "" if value is None else text, "bad" if text == "NO" and key == "bit_exact"
                    else "number" if numeric else "")
    return Cell(text, repr(value), "number")


def _heading(column: Column) -> Heading:
    """Return the heading of a column; what the column holds becomes a tip that is shown on hovering."""
    unit = f" Unit: {column.unit}." if column.unit else ""
    return Heading(column.heading, bool(column.spec), f"{column.doc}{unit}".strip())


def _table(part: Part, columns: tuple[Column, ...], rows: list[dict[str, Any]]) -> Table:
    """Return rows as a table, without the columns that none of them has."""
    if not any(column.key == "source" for column in columns):
        columns = (*columns, _SOURCE)
    used = tuple(column for column in columns if any(row.get(column.key) is not None for row in rows))
    lines = [[_cell(row.get(column.key), text, column.key, bool(column.spec))
              for column, text in zip(used, cells(row, used), strict=True)] for row in rows]
    return Table(part.caption, [_heading(column) for column in used], lines, part.folded)


def section(kind: Kind, reports: list[Report]) -> Section:
    """Return the section of the reports of one kind: tables, charts and key figures.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        When rows are not what this version writes; see :func:`host.report.report.write_page`.
    """
    rows = [row for report in reports for row in report.rows]
    parts = [(part, [row for row in rows if part.chosen(row)]) for part in kind.parts]
    order = list(_CAPTIONS)
    charts = sorted((path for report in reports for path in report.path.parent.glob("*.svg")),
                    key=lambda path: (order.index(_kind(path)) if _kind(path) in order else len(order), path))
    return Section(kind.name, kind.title, kind.command, kind.how,
                   [_figure(path, f"{kind.name}-{i}") for i, path in enumerate(charts)],
                   [_table(part, kind.columns, own) for part, own in parts if own], tiles(kind.name, rows), reports)


@cache
def _template() -> Template:
    """Return the template of the page."""
    jinja = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                        lstrip_blocks=True)
    return jinja.get_template("report.html")


def page(environment: dict[str, Any], sections: list[Section], missing: list[Kind]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    environment : dict
        As :func:`host.report.environment.environment` gives it, of the page itself.
    missing : list of Kind
        Kinds without a report, which the page lists with their commands.
    """
    rows = [row for own in sections for report in own.reports for row in report.rows]
    figures = [*(tile for own in sections for tile in own.tiles), *exactness(rows)]
    return _template().render(
        environment=environment, sections=sections, missing=missing, tiles=figures, sources=SOURCES,
        css=Markup((_FOLDER / "report.css").read_text()), js=Markup((_FOLDER / "report.js").read_text()))
