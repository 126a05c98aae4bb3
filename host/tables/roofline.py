"""Rows of ``host roofline``: an engine on a memory, both in steady state."""

from host.tables.row import Row, column

__all__ = ["RooflineRow"]


class RooflineRow(Row):
    """What a memory delivers at most, and what an engine takes of it."""

    VIEW = ("memory", "format", "peak_bytes_per_s", "limit_bytes_per_s", "limit_of_peak", "achieved_fraction",
            "peak_fraction", "weights_per_cycle", "bit_exact", "source")
    LABEL = "{memory} {format}"

    memory: str = column("memory", doc="Memory preset.")
    format: str = column("format", doc="Format of the weights.")
    bus_bits: int = column("bus", "d", unit="bits", doc="Width of the memory bus.")
    cols: int = column("cols", "d", doc="Columns of the matrices.")
    results_per_cycle: int = column("results a cycle", "d", doc="Results that the engine rounds in a cycle at most.")
    peak_bytes_per_s: float | None = column("peak, B/s", ".4g", unit="B/s",
                                            doc="Rate of the memory's pins; empty for a memory without a clock.")
    limit_bytes_per_s: float | None = column("limit, B/s", ".4g", unit="B/s",
                                             doc="Rate at which a master that only reads is served.")
    limit_of_peak: float = column("limit of peak", ".2%", doc="That rate as a share of the peak.")
    achieved_fraction: float = column("achieved of limit", ".2%", doc="What the engine takes, as a share of the limit.")
    peak_fraction: float = column("achieved of peak", ".2%", doc="What the engine takes, as a share of the peak.")
    weights_per_cycle: float = column("weights/cycle", ".2f", unit="weights/cycle", doc="Weights for each cycle.")
    bit_exact: bool = column("exact", doc="Whether every result equals golden's, bit for bit.")
    source: str = column("source", doc="How the rates were obtained.")
