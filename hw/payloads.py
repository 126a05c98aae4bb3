"""The payload of every stream between the rooms of the engine, in the order in which data pass through it.

    region_layout    sequencer to read DMA         activation_word  activations to join
    packed_layout    read DMA to unpacker          lane_word        join to each lane
    job_layout       sequencer to activations      value_layout     inside a lane, to its accumulator
    raw_word         activation store to align     lane_sum         each lane to the drain
    matrix_layout    activations to results        sum_layout       drain to normalise
                                                   float_layout     normalise to scale
                                                   result_layout    scale to queue
                                                   results_layout   results to write DMA

Shapes that only one room knows stay there.
"""

from amaranth.hdl import signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import SCALE_BITS
from hw.config import EngineConfig

__all__ = ["ELEMENT_BITS", "FACTOR_BITS", "SIGNIFICAND", "Destination", "activation_word", "aligned_word",
           "float_layout", "job_layout", "lane_signature", "lane_sum", "lane_word", "matrix_layout", "packed_layout",
           "raw_word", "region_layout", "result_layout", "results_layout", "rotation", "row_scale", "sum_layout",
           "value_layout"]

ELEMENT_BITS = 16
"""Bits of an FP16 activation."""
FACTOR_BITS = 9
"""Bits of the biased exponent of a matrix's factor. It is a float32's exponent, to which the shared exponent of the
activations is added."""
SIGNIFICAND = 24
"""Significant bits of a float32."""


class Destination(enum.Enum, shape=2):
    """The part of the engine that the beats of a region are for."""

    ACTIVATIONS = 0
    WEIGHTS = 1
    DESCRIPTOR = 2


def region_layout(config: EngineConfig) -> data.StructLayout:
    """A region of memory: its byte address ``addr``, a multiple of the beat's bytes, its length in ``beats`` and its
    destination ``to``."""
    return data.StructLayout({"addr": config.addr_bits, "beats": range(config.max_beats + 1), "to": Destination})


def packed_layout(beat_bits: int) -> data.StructLayout:
    """The ``data`` of a beat of a weight image, and whether it is the ``last`` one."""
    return data.StructLayout({"data": beat_bits, "last": 1})


def job_layout(config: EngineConfig) -> data.StructLayout:
    """What the activations are to do for a matrix.

    ``beats`` is the length of its vector, which memory holds padded with zeros to ``c`` elements for each block column
    that holds weights, or 0 where the matrix uses the vector of the one before it. ``blocks`` is the number of words
    that a group of rows takes, all block columns of the matrix: the heads of rows are one of them, and what their word
    of activations holds means nothing. ``rows`` is the number of the matrix's rows, and ``factor`` the biased
    exponent of the factor by which its sums are multiplied.
    """
    return data.StructLayout({"beats": range(config.max_activation_beats + 1), "blocks": range(config.max_blocks + 1),
                              "rows": range(config.max_rows + 1), "factor": 8})


def word_ends(config: EngineConfig) -> dict[str, int]:
    """What ends with a word of activations, as fields of its layout.

    ``last`` says that the word is the last of its group of rows. Where several blocks of a row share a scale,
    ``scale_ends`` says that the next word's blocks have another one; the last word of a group of rows has both.
    """
    return {"last": 1} if config.fmt.group_blocks == 1 else {"last": 1, "scale_ends": 1}


def rotation(config: EngineConfig) -> dict[str, int]:
    """Whether activations are to be rotated, as the field ``rotated`` of a layout; none where the engine cannot."""
    return {"rotated": 1} if config.rotation else {}


def raw_word(config: EngineConfig) -> data.StructLayout:
    """A word of FP16 activations: the bits ``x`` of ``c`` elements, what ends with it (:func:`word_ends`), ``shared``,
    the greatest exponent field of the vector, where subnormals count as 1, and what is to be done
    (:func:`rotation`)."""
    return data.StructLayout({"x": data.ArrayLayout(ELEMENT_BITS, config.c), **word_ends(config), "shared": 5,
                              **rotation(config)})


def matrix_layout(config: EngineConfig) -> data.StructLayout:
    """The number of ``rows`` of a matrix, and the biased exponent of the ``factor`` by which their sums are
    multiplied."""
    return data.StructLayout({"rows": range(config.max_rows + 1), "factor": FACTOR_BITS})


def aligned_word(config: EngineConfig) -> data.StructLayout:
    """A word of activations as integers ``x`` of ``act_bits`` bits, what ends with it (:func:`word_ends`), and what is
    to be done (:func:`rotation`)."""
    return data.StructLayout({"x": data.ArrayLayout(signed(config.act_bits), config.c), **word_ends(config),
                              **rotation(config)})


def activation_word(config: EngineConfig) -> data.StructLayout:
    """What all lanes share of a word: ``x``, the activations, which are the bits of FP16 numbers for FP16 weights and
    integers otherwise, and what ends with the word (:func:`word_ends`)."""
    x = data.ArrayLayout(signed(config.element_bits) if config.fmt.block_floating else ELEMENT_BITS, config.c)
    return data.StructLayout({"x": x, **word_ends(config)})


def lane_word(config: EngineConfig) -> data.StructLayout:
    """What one lane takes of a word: the bits of its ``block``, and the shared ``activations``."""
    return data.StructLayout({"block": config.block_bits, "activations": activation_word(config)})


def value_layout(config: EngineConfig) -> data.StructLayout:
    """An addend of a row's sum: its ``value``, and whether it is the ``last`` of its row."""
    return data.StructLayout({"value": signed(config.value_bits), "last": 1})


def row_scale(config: EngineConfig) -> dict[str, int]:
    """What travels with a row's sum, as fields of its layout: ``scale``, the bits of the row's FP16 scale, where rows
    have scales of their own, and nothing otherwise."""
    return {"scale": SCALE_BITS} if config.fmt.head_blocks else {}


def lane_sum(config: EngineConfig) -> data.StructLayout:
    """A row's exact ``sum``, and its scale if it has one (:func:`row_scale`)."""
    return data.StructLayout({"sum": signed(config.sum_bits), **row_scale(config)})


def lane_signature(config: EngineConfig) -> wiring.Signature:
    """The signature that every kind of lane has.

    Members
    -------
    i : In(stream of lane_word)
        ``ready`` is always 1.
    o : Out(stream of lane_sum)
        One sum for each row. It is ``valid`` for one cycle, whatever ``ready`` is, but the payload stays in place until
        the next sum.
    """
    return wiring.Signature({
        "i": In(stream.Signature(lane_word(config))),
        "o": Out(stream.Signature(lane_sum(config))),
    })


def sum_layout(config: EngineConfig) -> data.StructLayout:
    """What a lane has of a row (:func:`lane_sum`), the biased exponent of its matrix's ``factor``, and whether it is
    the ``last`` of the matrix."""
    return data.StructLayout({**lane_sum(config).members, "factor": FACTOR_BITS, "last": 1})


def float_layout(config: EngineConfig, significand: int = SIGNIFICAND) -> data.StructLayout:
    """The number ``(-1)**sign * significand * 2**exponent``. The significand's top bit is set, unless the number is 0.
    All else is that of :func:`~hw.payloads.sum_layout`."""
    return data.StructLayout({
        "sign": 1, "significand": significand, "exponent": range(-SIGNIFICAND, config.sum_bits),
        **row_scale(config), "factor": FACTOR_BITS, "last": 1,
    })


def result_layout() -> data.StructLayout:
    """The bits of a float32 ``result``, and whether it is the ``last`` of the matrix."""
    return data.StructLayout({"result": 32, "last": 1})


def results_layout(config: EngineConfig) -> data.StructLayout:
    """What the engine has of results in one cycle: :func:`~hw.payloads.result_layout` where that is one.

    Where it is more, ``results`` are the bits of ``results_per_cycle`` float32, and ``valid`` says for each whether it
    is there. All are, except behind the ``last`` one of the matrix.
    """
    count = config.results_per_cycle
    if count == 1:
        return result_layout()
    return data.StructLayout({"results": data.ArrayLayout(32, count), "valid": count, "last": 1})
