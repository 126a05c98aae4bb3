"""The reports that commands left below ``build/``, read back. Their rows stay records, as JSON has them: they may be of
another version of this program."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host.errors import UserError

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
    def unusable(why: object) -> UserError:
        return UserError(f"{path} is not a report ({why}): delete it, and make it again")

    try:
        content: Any = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): make it readable, or delete it") from None
    except ValueError as error:  # no JSON, or no text
        raise unusable(error) from None
    parts = {"environment": dict, "configuration": dict, "results": list}
    for key, form in parts.items():
        if not (isinstance(content, dict) and isinstance(content.get(key), form)):
            raise unusable(f"no {key}")
    if not all(isinstance(row, dict) for row in content["results"]):
        raise unusable("results are not rows")
    return Report(name, path, *(content[key] for key in parts))


def read(build: Path) -> list[Report]:
    """Return all reports below ``build``, sorted by name.

    Raises
    ------
    UserError
        When one cannot be read.
    """
    paths = sorted([*build.glob("*/report.json"), *build.glob("*/*/report.json")])
    return [_parse(path.parent.relative_to(build).as_posix(), path) for path in paths]
