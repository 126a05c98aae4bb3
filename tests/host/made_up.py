"""Made-up rows and reports, for tests that are about some of their fields only."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from host.tables.row import Row

R = TypeVar("R", bound=Row)


def partial_row(kind: type[R], **known: Any) -> R:
    """A row of which only these fields are known; the others are None, whatever their type."""
    return kind(**{field.name: None for field in fields(kind)} | known)  # type: ignore[arg-type]


def environment(commit: str = "0123abc") -> dict[str, Any]:
    return {"versions": {"python": "3.11"}, "machine": "a machine", "date": "2026-01-02T03:04:05+00:00",
            "commit": commit, "command": "python -m host made-up --option"}


def leave(build: Path, name: str, rows: list[dict[str, Any]], configuration: dict[str, Any]) -> Path:
    """A report as a command leaves it."""
    path = build / name / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"environment": environment(), "configuration": configuration, "results": rows}))
    return path
