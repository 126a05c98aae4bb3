"""The payload of every stream between the rooms of the engine, in the order in which data pass through it.

    region_layout    sequencer to read DMA         activation_word  activations to join
    packed_layout    read DMA to unpacker          lane_word        join to each lane
    job_layout       sequencer to activations      value_layout     inside a lane, to its accumulator
    raw_word         activation store to align     sum_layout       drain to normalise
    matrix_layout    activations to results        float_layout     normalise to scale
                                                   result_layout    results to write DMA

Shapes that only one room knows stay there.
"""

from amaranth.hdl import signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig

__all__ = ["ELEMENT_BITS", "FACTOR_BITS", "SIGNIFICAND", "Destination", "activation_word", "float_layout", "job_layout",
           "lane_signature", "lane_word", "matrix_layout", "packed_layout", "raw_word", "region_layout",
           "result_layout", "sum_layout", "value_layout"]

ELEMENT_BITS = 16
"""Bits of an FP16 activation."""
FACTOR_BITS = 9
"""Bits of the exponent of a matrix's factor: that of a float32, to which that of the activations is added."""
SIGNIFICAND = 24
"""Significant bits of a float32."""


class Destination(enum.Enum, shape=2):
    """Whom a region is for."""

    ACTIVATIONS = 0
    WEIGHTS = 1
    DESCRIPTOR = 2


def region_layout(config: EngineConfig) -> data.StructLayout:
    """A region of memory: byte address ``addr``, a multiple of the beat, length in ``beats`` and whom it is for."""
    return data.StructLayout({"addr": config.addr_bits, "beats": range(config.max_beats + 1), "to": Destination})


def packed_layout(beat_bits: int) -> data.StructLayout:
    """A beat of a weight image, and whether it is the ``last``."""
    return data.StructLayout({"data": beat_bits, "last": 1})


def job_layout(config: EngineConfig) -> data.StructLayout:
    """What to do for a matrix.

    ``beats`` of its vector, which memory holds padded with zeros to ``blocks * c`` elements, or 0 for that of the
    matrix before; ``blocks``, words of one read-out: ceil(columns / c); ``rows``; and the biased exponent of the
    ``factor`` by which the matrix's sums are to be multiplied.
    """
    return data.StructLayout({"beats": range(config.max_activation_beats + 1), "blocks": range(config.max_blocks + 1),
                              "rows": range(config.max_rows + 1), "factor": 8})


def raw_word(config: EngineConfig) -> data.StructLayout:
    """``c`` FP16 activations as bits, whether the word is the last of its rows, and the greatest biased
    exponent field of the vector, subnormals counting as 1."""
    return data.StructLayout({"x": data.ArrayLayout(ELEMENT_BITS, config.c), "last": 1, "shared": 5})


def matrix_layout(config: EngineConfig) -> data.StructLayout:
    """``rows`` of a matrix, and the biased exponent of the ``factor`` by which their sums are to be multiplied."""
    return data.StructLayout({"rows": range(config.max_rows + 1), "factor": FACTOR_BITS})


def activation_word(config: EngineConfig) -> data.StructLayout:
    """What the lanes of one word share: ``x``, the activations, for FP16 their raw bits; and whether the word is the
    ``last`` of its rows."""
    x = data.ArrayLayout(signed(config.act_bits) if config.fmt.block_floating else ELEMENT_BITS, config.c)
    return data.StructLayout({"x": x, "last": 1})


def lane_word(config: EngineConfig) -> data.StructLayout:
    """Input of one lane: its ``block`` and the shared ``activations``."""
    return data.StructLayout({"block": config.block_bits, "activations": activation_word(config)})


def value_layout(config: EngineConfig) -> data.StructLayout:
    """One addend: ``value``, and whether it is the ``last`` of its row."""
    return data.StructLayout({"value": signed(config.value_bits), "last": 1})


def lane_signature(config: EngineConfig) -> wiring.Signature:
    """What every datapath's lane looks like.

    Members
    -------
    i : In(stream of lane_word)
        ``ready`` is always 1.
    o : Out(stream of signed(sum_bits))
        One sum for each row; ``valid`` for a cycle only, the payload until the next.
    """
    return wiring.Signature({
        "i": In(stream.Signature(lane_word(config))),
        "o": Out(stream.Signature(signed(config.sum_bits))),
    })


def sum_layout(config: EngineConfig) -> data.StructLayout:
    """One row's ``sum``, the exponent of its ``factor``, and whether it is the ``last`` of the matrix."""
    return data.StructLayout({"sum": signed(config.sum_bits), "factor": FACTOR_BITS, "last": 1})


def float_layout(config: EngineConfig, significand: int = SIGNIFICAND) -> data.StructLayout:
    """``(-1)**sign * significand * 2**exponent``; the significand's top bit is set unless it is zero. ``factor`` and
    ``last`` as in :func:`~hw.payloads.sum_layout`."""
    return data.StructLayout({
        "sign": 1, "significand": significand, "exponent": range(-SIGNIFICAND, config.sum_bits),
        "factor": FACTOR_BITS, "last": 1,
    })


def result_layout() -> data.StructLayout:
    """A float32 ``result`` as bits, and whether it is the ``last`` of the matrix."""
    return data.StructLayout({"result": 32, "last": 1})
