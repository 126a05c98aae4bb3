"""Rows of ``host sim`` and ``host sim-paper``: a matrix, or a chain of matrices, through the engine in one format."""

from typing import ClassVar

from host.tables.causes import cause
from host.tables.row import Row, column

__all__ = ["LayerRow", "PaperRow"]


class LayerRow(Row):
    """A matrix of a layer, or ``layer``, which is all of them in one run."""

    VIEW: ClassVar[tuple[str, ...]] = (
        "matrix", "rows", "cols", "format", "bits_per_weight", "relative_error", "cycles", "beats", "starved",
        "refresh", "stalled", "drain", "speedup", "byte_ratio", "limit_fraction", "bit_exact")
    LABEL = "{matrix} {format}"

    matrix: str = column("matrix", doc="The matrix; “layer” is all of them, streamed as one chain.")
    rows: int | None = column("rows", "d", doc="Rows of the matrix.")
    cols: int | None = column("cols", "d", doc="Columns of the matrix.")
    format: str = column("format", doc="Format of the weights.")
    bits_per_weight: float = column("bits", ".3f", unit="bits/weight",
                                    doc="Stored bits for one weight, padding of rows and columns included.")
    relative_error: float | None = column("error", ".4f", doc="‖ŵ - w‖ / ‖w‖ of the compressed weights.")
    cycles: int = column("cycles", ",d", unit="cycles",
                         doc="Cycles of a run, from start to the last result; a mean where there are several runs.")
    beats: int = cause("beats")
    bytes: int = column("bytes", ",d", unit="bytes", doc="Bytes read and written by a run.")
    starved: int = cause("starved")
    refresh: int = cause("refresh")
    stalled: int = cause("stalled")
    drain: int = cause("drain")
    speedup: float | None = column("speed-up", ".3f", doc="FP16's cycles divided by this format's.")
    byte_ratio: float | None = column("at most", ".3f", default=None,
                                      doc="FP16's bytes divided by this format's, activations and results included: "
                                          "the speed-up that bytes alone allow.")
    memory: str = column("memory", doc="Memory preset.")
    limit_fraction: float = column("of limit", ".1%",
                                   doc="Share of the rate at which the memory delivers one long sequential read.")
    simulator: str = column("simulator", doc="Simulator that ran the RTL.")
    bit_exact: bool = column("exact", doc="Whether every result equals golden's, bit for bit.")
    source: str = column("source", doc="How the cycles were obtained.")
    runs: int = column("runs", "d", doc="Runs that the cycles are a mean of, each from another point of the memory's "
                                        "refresh interval.")
    cycles_min: int = column("least cycles", ",d", unit="cycles", doc="Cycles of the shortest run.")
    cycles_max: int = column("most cycles", ",d", unit="cycles", doc="Cycles of the longest run.")


class PaperRow(LayerRow):
    """A matrix of the paper's, beside what its authors published."""

    VIEW = (*LayerRow.VIEW[:-1], "published_cycles", "published_speedup", "bit_exact")

    published_cycles: int | None = column("paper cycles", ",d", unit="cycles",
                                          doc="Cycles that the paper's authors published.", default=None)
    published_speedup: float | None = column("paper speed-up", ".2f",
                                             doc="Speed-up over FP16 that the paper's authors published.",
                                             default=None)
