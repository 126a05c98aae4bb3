"""Where the cycles of a run went: the five classes that the engine's performance counters tell apart.

Every cycle belongs to exactly one class, so their counts add up to the cycles of the run.
"""

from dataclasses import MISSING, dataclass
from typing import Any

from host.tables.row import column

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


CAUSES = (
    Cause("beats", "beats", "a beat came", "Cycles in which memory delivered a beat and the engine took it."),
    Cause("starved", "waiting", "waiting for memory", "Cycles in which the engine waited for memory."),
    Cause("refresh", "refresh", "memory's refresh",
          "Cycles in which the engine waited because memory refreshed itself; 0 where memory does not report it."),
    Cause("stalled", "stalled", "engine held the memory",
          "Cycles in which memory offered a beat and the engine was not ready for it."),
    Cause("drain", "drain", "draining",
          "Cycles after the last beat, in which the pipeline empties and results are written."),
)
"""All of them; only in the first one did a beat come."""
_BY_NAME = {each.name: each for each in CAUSES}


def cause(name: str, *, optional: bool = False) -> Any:
    """Declare a field that counts the cycles of a class; the field has the class' name.

    With ``optional`` the field is None by default, and such rows have no key of it in JSON.
    """
    found = _BY_NAME[name]
    return column(found.heading, ",d", unit="cycles", doc=found.doc, optional=optional,
                  default=None if optional else MISSING)
