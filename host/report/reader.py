"""The reports that commands left below ``build/``, read back. Their rows stay records, as JSON has them: they may be of
another version of this program."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host.json_reader import read_json

__all__ = ["Report", "read"]


@dataclass(frozen=True)
class Report:
    """A report as a command left it.

    Parameters
    ----------
    name : str
        Its folder below ``build/``, such as ``sim`` or ``pnr/seedlm4-512``.
    path : Path
        Its ``report.json``.
    environment : dict
        Tool versions, machine, date, commit and command.
    configuration : dict
        What was asked for.
    rows : list of dict
        What was measured.
    """

    name: str
    path: Path
    environment: dict[str, Any]
    configuration: dict[str, Any]
    rows: list[dict[str, Any]]


def _parse(name: str, path: Path) -> Report:
    """Return the report in a file; UserError when it cannot be read or is none."""
    content = read_json(path, "delete it, and make it again")
    rows = [row.object() for row in content["results"].elements()]
    environment = content["environment"]
    for key in ("machine", "date", "commit", "command"):
        if said := environment.get(key):
            said.text()
    if versions := environment.get("versions"):
        versions.texts()
    return Report(name, path, environment.object(), content["configuration"].object(), rows)


def read(build: Path) -> list[Report]:
    """Return all reports below ``build``, sorted by name.

    Raises
    ------
    UserError
        When one cannot be read.
    """
    paths = sorted([*build.glob("*/report.json"), *build.glob("*/*/report.json")])
    return [_parse(path.parent.relative_to(build).as_posix(), path) for path in paths]
