"""Rows of ``host sweep``: a layer, a matrix or a whole model, in one format, on one memory."""

from host.tables.causes import cause
from host.tables.row import Row, column

__all__ = ["SweepRow"]


class SweepRow(Row):
    """A point of a sweep, or (``matrix`` is ``model``) a whole model, whose cycles are made of points.

    Fields by cause and those about the cycle model are of points only; those about the KV cache and the sources of the
    parts are of whole models only.
    """

    VIEW = ("model", "matrix", "memory", "format", "cycles", "speedup", "limit_fraction", "weights_per_cycle",
            "tokens_per_s", "clock_mhz", "source", "model_deviation", "bit_exact")
    PAGE = (*VIEW, "bus_bits", "addr_bits", "bytes_per_weight", "beats", "starved", "refresh", "stalled", "drain",
            "model_cycles", "weights_from", "error")
    """Fields that the report page shows."""
    LABEL = "{model} {matrix} {format} on {memory}"

    model: str = column("model", doc="The model.")
    matrix: str = column("matrix", doc="A matrix; “layer” is a decoder layer, streamed as one chain; “model” is a "
                                       "token: all layers, lm_head and the KV cache.")
    format: str = column("format", doc="Format of the weights.")
    memory: str = column("memory", doc="Memory preset.")
    bus_bits: int = column("bus", "d", unit="bits", doc="Width of the memory bus.")
    addr_bits: int | None = column("address", "d", unit="bits", default=None, optional=True,
                                   doc="Width of the engine's addresses, which reach all of the model.")
    cycles: int = column("cycles", ",d", unit="cycles", doc="Cycles from start to the last result.")
    beats: int | None = cause("beats", optional=True)
    starved: int | None = cause("starved", optional=True)
    refresh: int | None = cause("refresh", optional=True)
    stalled: int | None = cause("stalled", optional=True)
    drain: int | None = cause("drain", optional=True)
    bytes: int = column("bytes", ",d", unit="bytes", doc="Bytes read and written.")
    source: str = column("source", tolerance="model_tolerance",
                         doc="How the cycles were obtained; if by the cycle model, with what they may be off by, where "
                             "that is more than 0.1 %.")
    bit_exact: bool | None = column("exact", default=None,
                                    doc="Whether every result equals golden's, bit for bit; empty where nothing ran.")
    weights_from: str | None = column("weights", default=None, doc="Checkpoint of the weights, or “random”.")
    model_cycles: int | None = column("model's cycles", ",d", unit="cycles", default=None, optional=True,
                                      doc="Cycles that the cycle model predicts.")
    model_deviation: float | None = column("model off by", "+.3%", default=None,
                                           doc="The cycle model's cycles beside RTL's.")
    model_tolerance: float | None = column("model within", ".2%", default=None, optional=True,
                                           doc="Share by which cycles of the cycle model may be off.")
    error: str | None = column("error", default=None, doc="Why the point could not be run in RTL.")
    speedup: float | None = column("speed-up", ".4f", doc="FP16's cycles divided by this format's.", default=None)
    byte_ratio: float | None = column("at most", ".4f", default=None,
                                      doc="FP16's bytes divided by this format's, activations, results and KV cache "
                                          "included: the speed-up that bytes alone allow.")
    tokens_per_s: float | None = column("tokens/s", ".3g", unit="tokens/s", default=None,
                                        doc="Tokens a second, one sequence, at the assumed clock.")
    weights: int = column("weights", ",d", unit="weights", doc="Weights that are streamed.")
    bytes_per_weight: float = column("bytes/weight", ".4f", unit="bytes/weight",
                                     doc="Bytes of all traffic for each weight.")
    weights_per_cycle: float = column("weights/cycle", ".1f", unit="weights/cycle", doc="Weights for each cycle.")
    limit_fraction: float = column("of limit", ".2%",
                                   doc="Share of the rate at which the memory delivers one long sequential read.")
    clock_mhz: float | None = column("assumed MHz", "g", unit="MHz", doc="Clock of engine and bus that tokens a "
                                      "second assume: the memory controller's, not that of a placed engine.")
    clock_source: str | None = column("clock's source", doc="Where the clock comes from.")
    kv_cache_bytes: int | None = column("KV cache", ",d", unit="bytes", default=None, optional=True,
                                        doc="Bytes of keys and values that a token reads.")
    context: int | None = column("context", ",d", unit="tokens", default=None, optional=True,
                                 doc="Tokens whose keys and values a token reads.")
    layer_source: str | None = column("layer's source", default=None, optional=True,
                                      doc="How the layers' cycles were obtained.")
    lm_head_source: str | None = column("lm_head's source", default=None, optional=True,
                                        doc="How lm_head's cycles were obtained.")
