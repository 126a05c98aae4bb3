"""The table of a report in a terminal or in a pipe. No cell is ever shortened: a reader takes what is printed for all
that there is."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from host.printable import printable
from host.report.narrow import narrow_columns
from host.tables.row import Column, Row
from host.tables.tables import cells

__all__ = ["show"]

_R = TypeVar("_R", bound=Row)
_ENDLESS = 1 << 16
"""Characters of a line that no table reaches."""
_LEAST = 12
"""Characters that a column of text keeps at least when it is folded to fit the terminal."""


def _longest(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _widths(columns: Sequence[Column], lines: Sequence[Sequence[str]], room: int | None) -> list[int]:
    """Return the width of each column.

    Where the table is wider than the room for its cells, headings break at their blanks first; then the widest column
    of text is folded. Numbers stay whole, even if the table is wider than the room.
    """
    values = [_longest([line[i] for line in lines]) for i in range(len(columns))]
    widths = [max(own, cell_len(column.heading)) for own, column in zip(values, columns, strict=True)]
    if room is None or sum(widths) <= room:
        return widths
    widths = [max(own, _longest(column.heading.split())) for own, column in zip(values, columns, strict=True)]
    texts = [i for i, column in enumerate(columns) if not column.spec]
    if sum(widths) > room and texts:
        widest = max(texts, key=widths.__getitem__)
        words = _longest(columns[widest].heading.split())
        widths[widest] = max(words, min(widths[widest], _LEAST), widths[widest] - (sum(widths) - room))
    return widths


def show(title: str, rows: Sequence[_R], ends_section: Callable[[_R], bool] = lambda row: False,
         wide: bool = False) -> int:
    """Print rows as a table, with a gap after each row for which ``ends_section`` holds.

    Parameters
    ----------
    rows : sequence of rows
        At least one; all of one class.
    wide : bool
        Show all columns of the class's view, in place of those that :mod:`host.report.narrow` has.

    Returns
    -------
    int
        How many columns of the view are not shown.
    """
    kind = type(rows[0])
    columns = kind.columns() if wide else narrow_columns(kind)
    lines = [cells(row.record(), columns) for row in rows]
    terminal = Console().width if sys.stdout is not None and sys.stdout.isatty() else None
    between = 2 * len(columns)  # two blanks between columns, and one at either edge
    table = Table(box=SIMPLE, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for column, width in zip(columns, _widths(columns, lines, terminal and terminal - between), strict=True):
        table.add_column(Text(column.heading), justify="right" if column.spec else "left", width=width,
                         overflow="fold")
    for row, line in zip(rows, lines, strict=True):
        table.add_row(*map(Text, line), end_section=ends_section(row))
    # With a height, too, rich takes the width also of a terminal that it calls dumb.
    Console(width=terminal or _ENDLESS, height=1).print(Text(printable(title), "table.title"))
    Console(width=_ENDLESS, height=1).print(table)
    return len(kind.columns()) - len(columns)
