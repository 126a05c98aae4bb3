"""Rows of reports for tests that are about some of their fields only."""

from dataclasses import fields
from typing import Any, TypeVar

from host.rows.rows import Row

R = TypeVar("R", bound=Row)


def partial_row(kind: type[R], **known: Any) -> R:
    """A row of which only these fields are known; the others are None, whatever their type."""
    return kind(**{field.name: None for field in fields(kind)} | known)  # type: ignore[arg-type]
