"""Align: FP16 activations become integers under the vector's shared exponent.

Element m * 2**(f - 25) becomes round(m * 16 / 2**(shared - f)), ties to even, sign kept: 16-bit block floating point,
the rule of the golden model's activations. The sum of a word's elements, which every lane needs, is formed once here.

Latency 2 cycles, one word a cycle.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import ACT_BITS, FP16_FRACTION
from hw.activation_buffer import raw_word
from hw.config import EngineConfig
from hw.fp16_lane import split_fp16
from hw.stream_register import StreamRegister

__all__ = ["Align"]

_HEADROOM = ACT_BITS - 2 - FP16_FRACTION
"""Bits by which the significand of the greatest binade is shifted up."""


class Align(wiring.Component):
    """FP16 words to integer words.

    Members
    -------
    flush : In(1)
        Forget the words under way.
    shared : In(5)
        Greatest exponent field of the vector; steady while words flow.
    i : In(stream of raw_word)
    o : Out(stream of config.activation_word)
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "flush": In(1),
            "shared": In(5),
            "i": In(stream.Signature(raw_word(config))),
            "o": Out(stream.Signature(config.activation_word)),
        })

    def elaborate(self, platform):
        m = Module()
        word = self._config.activation_word
        partial = data.StructLayout({name: word[name].shape for name in ("x", "first", "last")})
        m.submodules.aligned = aligned = StreamRegister(partial)
        m.submodules.summed = summed = StreamRegister(word)
        m.d.comb += [aligned.flush.eq(self.flush), summed.flush.eq(self.flush)]

        m.d.comb += [
            aligned.i.valid.eq(self.i.valid),
            self.i.ready.eq(aligned.i.ready),
            aligned.i.payload.first.eq(self.i.payload.first),
            aligned.i.payload.last.eq(self.i.payload.last),
        ]
        for c in range(self._config.c):
            m.d.comb += aligned.i.payload.x[c].eq(self._integer(m, self.i.payload.x[c], c))

        now, later = aligned.o.payload, summed.i.payload
        m.d.comb += [
            summed.i.valid.eq(aligned.o.valid),
            aligned.o.ready.eq(summed.i.ready),
            later.x.eq(now.x),
            later.first.eq(now.first),
            later.last.eq(now.last),
            later.total.eq(sum(now.x[c] for c in range(self._config.c))),
        ]
        wiring.connect(m, summed.o, wiring.flipped(self.o))
        return m

    def _integer(self, m, bits, c):
        sign, significand, field = split_fp16(bits)
        # 16 bits below the unit keep all that a shift of 15 pushes out; further shifts round to zero like one of 16.
        distance = Signal(range(17), name=f"distance{c}")
        gap = Signal(5, name=f"gap{c}")
        m.d.comb += [gap.eq(self.shared - field), distance.eq(Mux(gap > 16, 16, gap))]
        shifted = Signal(ACT_BITS - 1 + 16, name=f"shifted{c}")
        m.d.comb += shifted.eq(Cat(Const(0, 16 + _HEADROOM), significand) >> distance)
        whole, half, rest = shifted[16:], shifted[15], shifted[:15]
        rounded = Signal(ACT_BITS - 1, name=f"rounded{c}")
        m.d.comb += rounded.eq(whole + (half & (rest.any() | whole[0])))
        element = Signal(signed(ACT_BITS), name=f"element{c}")
        m.d.comb += element.eq(Mux(sign, -rounded, rounded))
        return element
