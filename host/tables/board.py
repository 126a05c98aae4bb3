"""Rows of ``host run`` and ``host run-simulated``: a product on a board or another device."""

from host.tables.causes import cause
from host.tables.row import Row, column

__all__ = ["BoardRow"]


class BoardRow(Row):
    """A product on a device, real or simulated, as its engine's counters report it."""

    VIEW = ("format", "rows", "cols", "cycles", "microseconds", "starved", "refresh", "stalled", "drain",
            "peak_fraction", "speedup", "bit_exact")
    LABEL = "{format}"

    format: str = column("format", doc="Format of the weights, for which the engine was built.")
    rows: int = column("rows", "d", doc="Rows of the matrix.")
    cols: int = column("cols", "d", doc="Columns of the matrix.")
    cycles: int = column("cycles", ",d", unit="cycles", doc="Cycles of a run, a mean over all runs.")
    microseconds: float | None = column("µs", ",.0f", unit="µs",
                                        doc="The same as time, at the engine's clock where that is known.")
    starved: int = cause("starved")
    refresh: int = cause("refresh")
    stalled: int = cause("stalled")
    drain: int = cause("drain")
    bytes: int = column("bytes", ",d", unit="bytes", doc="Bytes read and written by a run.")
    peak_fraction: float = column("of peak", ".1%",
                                  doc="Share of the most that memory can move: of the rate of the SDRAM's data pins "
                                      "for a board at a serial line, of the engine's bus for others.")
    speedup: float | None = column("speed-up", ".3f", default=None,
                                   doc="Cycles of the run that it is compared with, in FP16 by default, divided by "
                                       "these.")
    bit_exact: bool = column("exact", doc="Whether every result equals golden's, bit for bit.")
    runs: int = column("runs", "d", doc="Runs that the cycles are a mean of.")
    clock_mhz: float | None = column("clock", "g", unit="MHz", doc="Clock of the engine, where it is known.")
    frames_repeated: int | None = column("frames repeated", ",d", unit="frames",
                                         doc="Frames of the serial link that were sent again, since the port was "
                                             "opened.")
