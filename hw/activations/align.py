"""Align: FP16 activations become integers under the vector's shared exponent.

Element m * 2**(f - 25) becomes round(m * 2**(bits - 12) / 2**(shared - f)), ties to even, sign kept, saturated to
+-(2**(bits - 1) - 1): block floating point of ``config.act_bits`` bits, the rule of the golden model's activations.

Latency :func:`align_latency` cycles; one word a cycle.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import FP16_FRACTION
from hw.config import EngineConfig
from hw.parts.fp16 import split_fp16
from hw.parts.pipeline import fused, pipeline
from hw.payloads import activation_word, raw_word

__all__ = ["Align", "align_latency"]


def align_latency(config: EngineConfig) -> int:
    """Cycles from an FP16 word to its integers: measured; shifted, in one step or two; rounded."""
    return 3 + config.pipelining.align


class Align(wiring.Component):
    """FP16 words to integer words.

    Members
    -------
    i : In(stream of raw_word)
    o : Out(stream of activation_word)
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(raw_word(config))),
            "o": Out(stream.Signature(activation_word(config))),
        })

    def elaborate(self, platform):
        m = Module()
        config, bits = self._config, self._config.act_bits
        # The greatest significand, one bit longer than its fraction, fills all bits but the sign.
        below = FP16_FRACTION + 1 - (bits - 1)
        unit_bits = FP16_FRACTION + 1 + max(-below, 0)
        shapes = [
            # What to shift, and how far.
            {"sign": 1, "unit": unit_bits, "distance": range(bits + 1)},
            # Shifted by multiples of four places, with those that are left.
            {"sign": 1, "moved": unit_bits + bits, "distance": 2},
            # Below the integer lie a half and the rest, which decides ties: whether any bit was pushed out.
            {"sign": 1, "whole": bits - 1, "half": 1, "rest": 1},
        ]
        words = [data.StructLayout({"x": data.ArrayLayout(data.StructLayout(shape), config.c), "last": 1})
                 for shape in shapes]

        def each(step):
            def whole_word(now, later):
                m.d.comb += later.last.eq(now.last)
                for c in range(config.c):
                    step(m, now, later, c)

            return whole_word

        measure, *shifts, round_ = ((shape, each(step)) for shape, step in zip(
            [*words, activation_word(config)], (self._measure, self._coarse, self._fine, self._round), strict=True))
        steps = config.pipelining.align
        rest = (activation_word(config), None)
        pipeline(m, self.i, self.o, [measure, *(shifts if steps else fused(shifts, 2)), round_, *[rest] * (steps - 1)])
        return m

    def _measure(self, m, word, later, c):
        sign, significand, field = split_fp16(word.x[c])
        element = later.x[c]
        # Further shifts round to zero like the longest one, which leaves the significand below the half.
        longest = self._config.act_bits
        gap = Signal(5, name=f"gap{c}")
        m.d.comb += [
            gap.eq(word.shared - field),
            element.sign.eq(sign),
            element.unit.eq(Cat(Const(0, len(element.unit) - len(significand)), significand)),
            element.distance.eq(Mux(gap > longest, longest, gap)),
        ]

    def _coarse(self, m, word, later, c):
        now, element = word.x[c], later.x[c]
        m.d.comb += [
            element.sign.eq(now.sign),
            element.moved.eq(Cat(Const(0, self._config.act_bits), now.unit) >> Cat(Const(0, 2), now.distance[2:])),
            element.distance.eq(now.distance),
        ]

    def _fine(self, m, word, later, c):
        now, element = word.x[c], later.x[c]
        moved = Signal(len(now.moved), name=f"moved{c}")
        spare = len(moved) - len(element.whole)
        m.d.comb += [
            moved.eq(now.moved >> now.distance),
            element.sign.eq(now.sign),
            element.whole.eq(moved[spare:]),
            element.half.eq(moved[spare - 1]),
            element.rest.eq(moved[:spare - 1].any()),
        ]

    def _round(self, m, word, later, c):
        # -(whole + up) is ~whole + !up: one adder both ways. Only fewer bits than the significand's can overflow.
        sign, whole = word.x[c].sign, word.x[c].whole
        up = word.x[c].half & (word.x[c].rest | whole[0])
        if len(whole) < FP16_FRACTION + 1:
            up = up & ~whole.all()
        m.d.comb += later.x[c].eq(Cat(whole ^ sign.replicate(len(whole)), sign).as_signed() + (up ^ sign))
