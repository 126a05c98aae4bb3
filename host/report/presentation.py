"""How the report of the running command is presented: what its user chose, and what was written last."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Presentation", "chosen", "presented"]


@dataclass
class Presentation:
    """What the user of a command chose, and the report that it left.

    Parameters
    ----------
    wide : bool
        The table shows all columns.
    out : Path or None
        Folder of the report and its charts, in place of the command's own.
    report : str
        The report as JSON, as it was written last; empty before.
    """

    wide: bool = False
    out: Path | None = None
    report: str = ""


_CURRENT: ContextVar[Presentation | None] = ContextVar("presentation", default=None)


def chosen() -> Presentation:
    """Return how the running command presents its report; the default where nothing was chosen."""
    return _CURRENT.get() or Presentation()


@contextmanager
def presented(presentation: Presentation) -> Iterator[None]:
    """Present the report of what runs within the block in this way."""
    token = _CURRENT.set(presentation)
    try:
        yield
    finally:
        _CURRENT.reset(token)
