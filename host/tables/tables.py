"""Tables of rows, in a terminal and in Markdown."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from host.printable import printable
from host.tables.row import Column, Row

__all__ = ["cells", "markdown", "show"]

_PIPED_WIDTH = 140
"""Characters of a line when the output is no terminal."""
_R = TypeVar("_R", bound=Row)


def cells(record: Mapping[str, Any], columns: Sequence[Column]) -> list[str]:
    """Return a record's values as printable text, one for each column; "-" where it has none."""
    return [printable(column.cell(record)) for column in columns]


def markdown(columns: Sequence[Column], records: Iterable[Mapping[str, Any]]) -> str:
    """Return a Markdown table of records, as :meth:`~host.tables.row.Row.record` gives them."""
    lines = ["| " + " | ".join(column.heading for column in columns) + " |",
             "|" + "|".join("---:" if column.spec else "---" for column in columns) + "|"]
    for record in records:
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in cells(record, columns)) + " |")
    return "\n".join(lines) + "\n"


def show(title: str, columns: Sequence[Column], rows: Iterable[_R],
         ends_section: Callable[[_R], bool] = lambda row: False) -> None:
    """Print rows as a table, with a gap after each row for which ``ends_section`` holds."""
    table = Table(title=Text(printable(title), "table.title"), title_justify="left", box=SIMPLE, padding=(0, 1),
                  pad_edge=False)
    for column in columns:
        table.add_column(column.heading, justify="right" if column.spec else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, cells(row.record(), columns)), end_section=ends_section(row))
    Console(width=None if os.isatty(1) else _PIPED_WIDTH).print(table)
