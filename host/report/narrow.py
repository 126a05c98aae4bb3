"""The columns that the table in a terminal shows unless all are asked for: those that fit 80 characters."""

from collections.abc import Mapping

from host.tables.area import AreaRow
from host.tables.bench import EncoderRow
from host.tables.board import BoardRow
from host.tables.demo import DemoRow
from host.tables.device import DeviceEncoderRow
from host.tables.layer import LayerRow, PaperRow
from host.tables.memory import MemoryRow
from host.tables.perplexity import PerplexityRow
from host.tables.placed import BitstreamRow, PnrRow
from host.tables.quality import ExploreRow
from host.tables.roofline import RooflineRow
from host.tables.row import Column, Row
from host.tables.sweep import SweepRow
from host.tables.tensor import TensorRow

__all__ = ["NARROW", "narrow_columns"]

NARROW: Mapping[type[Row], tuple[str, ...]] = {
    AreaRow: ("engine", "block", "lut", "ff", "dsp", "bram"),
    BitstreamRow: ("board", "format", "target_mhz", "fmax_mhz", "lut4", "lut4_fraction", "met"),
    BoardRow: ("format", "rows", "cols", "cycles", "microseconds", "peak_fraction", "speedup", "bit_exact"),
    DemoRow: ("number", "text", "cycles", "limit_fraction", "tokens_per_s", "speedup", "bit_exact"),
    DeviceEncoderRow: ("format", "mode", "device", "blocks_per_s", "cpu_ratio", "different"),
    EncoderRow: ("format", "mode", "blocks_per_s", "full_blocks_per_s", "full_ratio", "differing", "relative_error"),
    ExploreRow: ("weights", "bits_per_weight", "format", "relative_error", "best"),
    LayerRow: ("matrix", "format", "bits_per_weight", "cycles", "speedup", "byte_ratio", "limit_fraction", "bit_exact"),
    MemoryRow: ("memory", "limit", "measured", "independent", "difference"),
    PaperRow: ("matrix", "format", "cycles", "speedup", "published_cycles", "published_speedup", "bit_exact"),
    PerplexityRow: ("variant", "bits_per_weight", "perplexity", "increase", "kl", "top1"),
    PnrRow: ("config", "target_mhz", "fmax_mhz", "lut4", "lut4_fraction", "routed", "met"),
    RooflineRow: ("memory", "format", "limit_of_peak", "achieved_fraction", "weights_per_cycle", "bit_exact"),
    SweepRow: ("model", "matrix", "memory", "format", "speedup", "tokens_per_s", "source"),
    TensorRow: ("tensor", "bits_per_weight", "relative_error", "verified"),
}
"""By class of the rows: names of the fields. Rows of a class that is not here show all of their view."""


def narrow_columns(kind: type[Row]) -> tuple[Column, ...]:
    """Return the columns of rows of a class that a terminal shows unless all are asked for."""
    return kind.columns(NARROW.get(kind, ()))
