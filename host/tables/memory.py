"""Rows of ``host memories``: what each memory preset delivers, beside figures of others."""

from host.tables.row import Row, column

__all__ = ["MemoryRow"]


class MemoryRow(Row):
    """A memory preset, read without a pause."""

    VIEW = ("memory", "limit", "measured", "independent", "difference", "controller", "row_hit_ns")
    LABEL = "{memory}"

    memory: str = column("memory", doc="Memory preset.")
    limit: float = column("limit of peak", ".2%", doc="What the preset's numbers say: the share of the peak that "
                                                      "refreshes leave to a sequential stream of reads.")
    measured: float = column("measured in RTL", ".2%", doc="What a master that only reads is given.")
    independent: float | None = column("independent", ".2%", doc="The same of a simulator of others, where known.")
    difference: float | None = column("difference, points", "+.2f", doc="Measured less independent, in points.")
    controller: int = column("controller and PHY, cycles", "d", unit="cycles",
                             doc="Fabric cycles that controller and PHY add to every read.")
    row_hit_ns: float | None = column("open row, ns", ".1f", unit="ns",
                                      doc="From the request of a word in an open row to the word.")
    remark: str = column("remark", doc="Why the two differ.")
    source: str = column("source", optional=True, default=None, doc="Where the preset's numbers come from.")
