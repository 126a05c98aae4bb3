"""Align: FP16 activations become integers under the vector's shared exponent.

Element m * 2**(f - 25) becomes round(m * 2**(bits - 12) / 2**(shared - f)), ties to even, sign kept, saturated to
+-(2**(bits - 1) - 1): block floating point of ``config.act_bits`` bits, the rule of the golden model's activations.

Latency 2 cycles, one word a cycle.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import FP16_FRACTION
from hw.activation_buffer import raw_word
from hw.config import EngineConfig
from hw.fp16_lane import split_fp16
from hw.stream_register import StreamRegister

__all__ = ["Align"]


class Align(wiring.Component):
    """FP16 words to integer words.

    Members
    -------
    i : In(stream of raw_word)
    o : Out(stream of config.activation_word)
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(raw_word(config))),
            "o": Out(stream.Signature(config.activation_word)),
        })

    def elaborate(self, platform):
        m = Module()
        bits = self._config.act_bits
        # Below the integer lie a half and the rest that decides ties: whether any bit was pushed out.
        element = data.StructLayout({"sign": 1, "whole": bits - 1, "half": 1, "rest": 1})
        words = data.StructLayout({"x": data.ArrayLayout(element, self._config.c), "first": 1, "last": 1})
        m.submodules.shifted = shifted = StreamRegister(words)
        m.submodules.rounded = rounded = StreamRegister(self._config.activation_word)

        for source, sink in ((self.i, shifted.i), (shifted.o, rounded.i)):
            m.d.comb += [
                sink.valid.eq(source.valid),
                source.ready.eq(sink.ready),
                sink.payload.first.eq(source.payload.first),
                sink.payload.last.eq(source.payload.last),
            ]
        for c in range(self._config.c):
            self._shift(m, self.i.payload.x[c], shifted.i.payload.x[c], c)
            m.d.comb += rounded.i.payload.x[c].eq(self._round(m, shifted.o.payload.x[c], c))
        wiring.connect(m, rounded.o, wiring.flipped(self.o))
        return m

    def _shift(self, m, fp16, element, c):
        sign, significand, field = split_fp16(fp16)
        bits = self._config.act_bits
        # The greatest significand, one bit longer than its fraction, fills all bits but the sign.
        below = FP16_FRACTION + 1 - (bits - 1)
        unit = Cat(Const(0, max(-below, 0)), significand)
        # Further shifts round to zero like the longest one, which leaves the significand below the half.
        gap, distance = Signal(5, name=f"gap{c}"), Signal(range(bits + 1), name=f"distance{c}")
        m.d.comb += [gap.eq(self.i.payload.shared - field), distance.eq(Mux(gap > bits, bits, gap))]
        spare = bits + max(below, 0)
        moved = Signal(len(unit) + bits, name=f"moved{c}")
        m.d.comb += [
            moved.eq(Cat(Const(0, bits), unit) >> distance),
            element.sign.eq(sign),
            element.whole.eq(moved[spare:]),
            element.half.eq(moved[spare - 1]),
            element.rest.eq(moved[:spare - 1].any()),
        ]

    def _round(self, m, element, c):
        # -(whole + up) is ~whole + !up: one adder both ways. Only fewer bits than the significand's can overflow.
        sign, whole = element.sign, element.whole
        up = element.half & (element.rest | whole[0])
        if self._config.act_bits - 1 < FP16_FRACTION + 1:
            up = up & ~whole.all()
        rounded = Signal(signed(self._config.act_bits), name=f"rounded{c}")
        m.d.comb += rounded.eq(Cat(whole ^ sign.replicate(len(whole)), sign).as_signed() + (up ^ sign))
        return rounded
