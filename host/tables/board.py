"""Rows of ``host run`` and ``host run-simulated``: a product on a board."""

from host.tables.causes import cause
from host.tables.row import Row, column

__all__ = ["BoardRow"]


class BoardRow(Row):
    """A product on a board, real or simulated, as its bitstream's counters report it."""

    VIEW = ("format", "rows", "cols", "cycles", "microseconds", "starved", "refresh", "stalled", "drain",
            "peak_fraction", "speedup", "bit_exact")
    LABEL = "{format}"

    format: str = column("format", doc="Format of the weights, for which the bitstream was built.")
    rows: int = column("rows", "d", doc="Rows of the matrix.")
    cols: int = column("cols", "d", doc="Columns of the matrix.")
    cycles: int = column("cycles", ",d", unit="cycles", doc="Cycles of a run, a mean over all runs.")
    microseconds: float = column("µs", ",.0f", unit="µs", doc="The same as time, at the board's clock.")
    starved: int = cause("starved")
    refresh: int = cause("refresh")
    stalled: int = cause("stalled")
    drain: int = cause("drain")
    bytes: int = column("bytes", ",d", unit="bytes", doc="Bytes read and written by a run.")
    peak_fraction: float = column("of SDRAM peak", ".1%", doc="Share of the rate of the SDRAM's data pins.")
    speedup: float | None = column("speed-up", ".3f", default=None,
                                   doc="Cycles of the run that it is compared with, in FP16 by default, divided by "
                                       "these.")
    bit_exact: bool = column("exact", doc="Whether every result equals golden's, bit for bit.")
    runs: int = column("runs", "d", doc="Runs that the cycles are a mean of.")
    clock_mhz: float = column("clock", "g", unit="MHz", doc="Clock of the board's engine and SDRAM.")
    frames_repeated: int = column("frames repeated", ",d", unit="frames",
                                  doc="Frames of the serial link that were sent again, since the port was opened.")
