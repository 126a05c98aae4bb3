"""Where the cycles of a run went: the five classes that the engine's performance counters tell apart.

Every cycle belongs to exactly one class, so their counts add up to the cycles of the run.
"""

from dataclasses import MISSING, dataclass
from typing import Any

from host.tables.row import column
from hw.registers.cycle_classes import CYCLE_CLASSES

__all__ = ["CAUSES", "Cause", "cause"]


@dataclass(frozen=True)
class Cause:
    """One class of cycles.

    Parameters
    ----------
    name : str
        Name of the counter in the engine, and of the field in rows.
    heading : str
        Heading of its column.
    label : str
        What charts call it.
    doc : str
        A sentence on its cycles.
    """

    name: str
    heading: str
    label: str
    doc: str


_SHOWN = {
    "beats": ("beats", "a beat came"),
    "starved": ("waiting", "waiting for memory"),
    "refresh": ("refresh", "memory's refresh"),
    "stalled": ("stalled", "engine held the memory"),
    "drain": ("drain", "draining"),
}
"""Heading and label by name."""
CAUSES = tuple(Cause(name, *_SHOWN[name], doc) for name, doc in CYCLE_CLASSES.items())
"""All of them; only in the first one did a beat come."""
_BY_NAME = {each.name: each for each in CAUSES}


def cause(name: str, *, optional: bool = False) -> Any:
    """Declare a field that counts the cycles of a class; the field has the class' name.

    With ``optional`` the field is None by default, and such rows have no key of it in JSON.
    """
    found = _BY_NAME[name]
    return column(found.heading, ",d", unit="cycles", doc=found.doc, optional=optional,
                  default=None if optional else MISSING)
