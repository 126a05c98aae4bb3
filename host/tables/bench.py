"""Rows of ``host bench-sim`` and ``host bench-encode``: speeds of the simulators and of the encoder on this machine."""

from host.tables.row import Row, column

__all__ = ["EncoderRow", "SimulatorRow"]


class SimulatorRow(Row):
    """The speed of one way to simulate the engine."""

    VIEW = ("format", "path", "cycles", "runs", "cycles_per_s", "weights_per_s", "bit_exact")
    LABEL = "{format} ({path})"

    format: str = column("format", doc="Format of the weights.")
    path: str = column("path", doc="How the simulator is driven: “native” by a C++ main program, “cocotb” by Python.")
    cycles: int = column("cycles a run", ",d", unit="cycles", doc="Simulated cycles of a run.")
    runs: int = column("runs", "d", doc="Runs, of which the fastest counts.")
    cycles_per_s: float = column("cycles/s", ",.0f", unit="cycles/s", doc="Simulated cycles a second.")
    weights_per_s: float = column("weights/s", ",.0f", unit="weights/s", doc="Simulated weights a second.")
    bit_exact: bool = column("exact", doc="Whether every result equals golden's, bit for bit.")


class EncoderRow(Row):
    """The speed of the encoder in a format and mode, beside its search over all seeds and a plain search in NumPy."""

    VIEW = ("format", "mode", "blocks_per_s", "full_blocks_per_s", "full_ratio", "differing", "table_seconds",
            "table_mb", "numpy_blocks_per_s", "numpy_ratio", "peak_fraction", "relative_error", "mean_block_error",
            "numpy_relative_error")
    LABEL = "{format} ({mode})"

    format: str = column("format", doc="Format of the weights.")
    mode: str = column("mode", doc="Mode of the search: exact, or with rounded codes (paper, printed); of a trellis or "
                                   "with errors that count by channel or are fed back, what is done.")
    blocks_per_s: float = column("blocks/s", ",.0f", unit="blocks/s",
                                 doc="Blocks that the encoder searches a second; of a trellis, eight weights each.")
    full_blocks_per_s: float | None = column("over all seeds", ",.0f", unit="blocks/s", default=None,
                                             doc="The same of its search over all seeds, alone.")
    full_ratio: float | None = column("times that", ".1f", default=None,
                                      doc="How many times as fast as the search over all seeds the encoder is.")
    differing: int | None = column("differing", ",d", unit="blocks", default=None,
                                   doc="Blocks whose errors differ between the two, in the last bit or more.")
    table_seconds: float | None = column("tables", ".1f", unit="s", default=None,
                                         doc="Seconds that the tables of a format take to make, once.")
    table_mb: float | None = column("size", ",.0f", unit="MB", default=None, doc="Megabytes of these tables.")
    numpy_blocks_per_s: float | None = column("NumPy blocks/s", ",.0f", unit="blocks/s", default=None,
                                              doc="Blocks that the search in NumPy does a second.")
    numpy_ratio: float | None = column("times NumPy", ",.0f", default=None,
                                       doc="How many times as fast as NumPy the encoder is.")
    peak_fraction: float | None = column(
        "of FP32 peak", ".1%", default=None,
        doc="Share of the machine's single-precision peak, measured by multiply-adds, that the search over all seeds "
            "reaches.")
    relative_error: float = column("rel. error", ".4f", doc="‖ŵ - w‖ / ‖w‖ over all blocks.")
    mean_block_error: float | None = column("mean of blocks", ".4f", default=None,
                                            doc="Mean of the relative errors of single blocks.")
    numpy_relative_error: float | None = column("NumPy's error", ".4f", default=None,
                                                doc="‖ŵ - w‖ / ‖w‖ of the search in NumPy.")
