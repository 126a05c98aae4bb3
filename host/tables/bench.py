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
    """The speed of the encoder in a format and mode, beside a plain search in NumPy."""

    VIEW = ("format", "mode", "blocks_per_s", "numpy_blocks_per_s", "numpy_ratio", "peak_fraction", "relative_error",
            "mean_block_error", "numpy_relative_error")
    LABEL = "{format} ({mode})"

    format: str = column("format", doc="Format of the weights.")
    mode: str = column("mode", doc="Mode of the search: exact, or with rounded codes (paper, printed).")
    blocks_per_s: float = column("blocks/s", ",.0f", unit="blocks/s", doc="Blocks that the encoder searches a second.")
    numpy_blocks_per_s: float = column("NumPy blocks/s", ",.0f", unit="blocks/s",
                                       doc="Blocks that the search in NumPy does a second.")
    numpy_ratio: float = column("times NumPy", ",.0f", doc="How many times as fast as NumPy the encoder is.")
    peak_fraction: float = column("of FP32 peak", ".1%",
                                  doc="Share of the machine's single-precision peak, measured by multiply-adds.")
    relative_error: float = column("rel. error", ".4f", doc="‖ŵ - w‖ / ‖w‖ over all blocks.")
    mean_block_error: float = column("mean of blocks", ".4f", doc="Mean of the relative errors of single blocks.")
    numpy_relative_error: float = column("NumPy's error", ".4f", doc="‖ŵ - w‖ / ‖w‖ of the search in NumPy.")
