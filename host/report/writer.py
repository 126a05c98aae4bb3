"""The one writer of reports: ``report.json``, the same rows as Markdown and as a table in the terminal, and charts."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from host.errors import CheckError
from host.folders import write_whole
from host.plots.style import save
from host.report.environment import environment
from host.report.presentation import chosen
from host.report.table import show
from host.tables.row import Row
from host.tables.tables import markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["finish", "inventory", "place", "write"]

_R = TypeVar("_R", bound=Row)


def place(folder: Path) -> Path:
    """Return the folder of the running command's report: the one its user chose with ``--out``, or else ``folder``."""
    return chosen().out or folder


def _json(content: Mapping[str, Any]) -> str:
    """Return a report as JSON, and remember it for ``--json``."""
    chosen().report = text = json.dumps(content, indent=1) + "\n"
    return text


def write(folder: Path, configuration: Mapping[str, Any], rows: Sequence[Row], table: str | None = None) -> Path:
    """Write ``report.json`` and ``report.md`` into a folder, and remove its charts, which show older rows.

    Parameters
    ----------
    folder : Path
        The command's own; see :func:`place`.
    configuration : mapping
        What was asked for, as JSON can hold it.
    table : str, optional
        Content of ``report.md``; by default a table of all rows.

    Returns
    -------
    Path
        That of ``report.json``.
    """
    folder = place(folder)
    for chart in (*folder.glob("*.svg"), *folder.glob("*.png")):
        chart.unlink(missing_ok=True)  # as another command may have done
    records = [row.record() for row in rows]
    if table is None:
        table = markdown(rows[0].columns() if rows else (), records)
    write_whole(folder / "report.md", table)
    path = folder / "report.json"
    write_whole(path, _json({"environment": environment(), "configuration": configuration, "results": records}))
    return path


def _files(folder: Path) -> str:
    """Name what lies beside ``report.json``, for people: charts as PNG only."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".md", ".csv", ".png"))
    names.sort(key=lambda name: not name.startswith("report."))
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def finish(folder: Path, configuration: Mapping[str, Any], rows: Sequence[_R], title: str, *,
           shown: Sequence[_R] | None = None, ends_section: Callable[[_R], bool] = lambda row: False, notes: str = "",
           table: str | None = None, charts: Callable[[], Mapping[str, "Figure | None"]] = dict) -> None:
    """End a command that measures: write its report and its charts, print the table, and say where everything is.

    Parameters
    ----------
    folder, configuration, rows, table
        As in :func:`write`.
    title : str
        Title of the printed table.
    shown : sequence of rows, optional
        Rows of the printed table, by default all.
    ends_section : callable
        Whether a gap follows a row in the printed table.
    notes : str
        Lines to print after the table.
    charts : callable
        Draws the charts: figures by the name of their file, None where there is nothing to draw.

    Raises
    ------
    CheckError
        When a row's results differ from golden's. Everything is written and printed all the same.
    """
    path = write(folder, configuration, rows, table)
    shown = rows if shown is None else shown
    hidden = show(title, shown, ends_section, chosen().wide) if shown else 0
    if notes:
        print(notes)
    for name, figure in charts().items():
        if figure:
            save(figure, path.parent, name)
    more = f"; --wide shows {hidden} more columns" if hidden else ""
    print(f"report: {path}, and beside it {_files(path.parent)}{more}")
    if wrong := [row.label for row in rows if row.differs]:
        raise CheckError(f"results differ from golden: {', '.join(wrong)}")


def inventory(title: str, configuration: Mapping[str, Any], rows: Sequence[_R],
              ends_section: Callable[[_R], bool] = lambda row: False) -> None:
    """End a command that only looks: print the table, and leave no files.

    Parameters
    ----------
    title, configuration, rows, ends_section
        As in :func:`finish`; there is at least one row.
    """
    _json({"configuration": configuration, "results": [row.record() for row in rows]})
    show(title, rows, ends_section, chosen().wide)
