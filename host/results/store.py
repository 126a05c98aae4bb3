"""What docs/results holds of a part: the reports of its commands, and the digest of what they were made from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.tree import ROOT, source_digest
from host.folders import write_whole
from host.json_reader import read_json
from host.results.parts import Command, Part, Record

__all__ = ["DOCUMENTS", "Made", "Stored", "digest", "load", "save", "state"]

DOCUMENTS = ROOT / "docs" / "results"
"""Folder of the pages, the JSON files and the charts."""


@dataclass(frozen=True)
class Made:
    """What a command left.

    Parameters
    ----------
    report : dict
        ``environment``, ``configuration`` and ``results`` as in ``report.json``; ``seconds``, which the command took
        with whatever the build folder held; and ``failed``, the sentence with which it ended in place of results,
        where that is a result too.
    charts : dict
        Text of each chart as SVG, by its name.
    """

    report: dict[str, Any]
    charts: dict[str, str]


@dataclass(frozen=True)
class Stored:
    """A part as it is stored.

    Parameters
    ----------
    part : Part
    sources : str
        The digest of what it was made from.
    charts : tuple of str
        Names of its charts, whose files are ``<part>.<name>.svg``.
    reports : tuple of dict
        As in :class:`Made`, one for each command.
    """

    part: Part
    sources: str
    charts: tuple[str, ...]
    reports: tuple[dict[str, Any], ...]

    @property
    def rows(self) -> list[Record]:
        """The rows of all reports."""
        return [row for report in self.reports for row in report["results"]]


def digest(part: Part, command: Command | None = None) -> str:
    """Return the SHA-256 digest of the sources of a part and of one of its commands, of all of them by default."""
    commands = [each.text for each in ([command] if command else part.commands)]
    return hashlib.sha256(repr((source_digest(*part.modules), commands)).encode()).hexdigest()


def load(part: Part, folder: Path = DOCUMENTS) -> Stored | None:
    """Return a part as it is stored; None where there is no file of it.

    Raises
    ------
    UserError
        When its file is damaged.
    """
    path = folder / f"{part.name}.json"
    if not path.exists():
        return None
    content = read_json(path, "remove it, and run `make results` again")
    return Stored(part, content["sources"].text(), tuple(chart.text() for chart in content["charts"].elements()),
                  tuple(report.object() for report in content["reports"].elements()))


def save(part: Part, sources: str, made: Sequence[Made], folder: Path = DOCUMENTS) -> None:
    """Store what the commands of a part left: the charts first, so that the JSON is there when all is."""
    for old in folder.glob(f"{part.name}.*.svg"):
        old.unlink()
    charts = {name: text for each in made for name, text in each.charts.items()}
    for name, text in charts.items():
        write_whole(folder / f"{part.name}.{name}.svg", text)
    reports = [{**each.report, "results": list(filter(part.kept, each.report["results"]))} for each in made]
    content = {"part": part.name, "sources": sources, "charts": list(charts), "reports": reports}
    write_whole(folder / f"{part.name}.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def state(part: Part, folder: Path = DOCUMENTS) -> str:
    """Return "up to date", "stale" (made from other sources) or "missing".

    Raises
    ------
    UserError
        When its file is damaged.
    """
    stored = load(part, folder)
    return "missing" if stored is None else "up to date" if stored.sources == digest(part) else "stale"
