"""Normalise: an exact integer sum becomes a 24-bit significand and a power of two, rounded to nearest, ties to even.

Latency 4 cycles, one sum a cycle.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.config import EngineConfig
from hw.drain import FACTOR_BITS, sum_layout
from hw.stream_register import StreamRegister

__all__ = ["SIGNIFICAND", "Normalise", "float_layout"]

SIGNIFICAND = 24
"""Significant bits of a float32."""


def float_layout(config: EngineConfig) -> data.StructLayout:
    """``(-1)**sign * significand * 2**exponent``; the significand's top bit is set unless it is zero. ``factor`` and
    ``last`` as in :func:`~hw.drain.sum_layout`."""
    return data.StructLayout({
        "sign": 1, "significand": SIGNIFICAND, "exponent": range(-SIGNIFICAND, config.sum_bits),
        "factor": FACTOR_BITS, "last": 1,
    })


class Normalise(wiring.Component):
    """Integer to floating point.

    Members
    -------
    i : In(stream of sum_layout)
    o : Out(stream of float_layout)
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(sum_layout(config))),
            "o": Out(stream.Signature(float_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        # The magnitude is shifted up until its top bit is set; `shift` says by how much.
        width = max(self._config.sum_bits, SIGNIFICAND + 2)
        steps = range(ceil_log2(width))
        half = len(steps) // 2
        layout = data.StructLayout({"sign": 1, "magnitude": width, "shift": len(steps),
                                   "factor": FACTOR_BITS, "last": 1})

        m.submodules.absolute = absolute = StreamRegister(layout)
        total = self.i.payload.sum
        m.d.comb += [
            absolute.i.valid.eq(self.i.valid),
            self.i.ready.eq(absolute.i.ready),
            absolute.i.payload.sign.eq(total < 0),
            absolute.i.payload.magnitude.eq(Mux(total < 0, -total, total)),
            absolute.i.payload.factor.eq(self.i.payload.factor),
            absolute.i.payload.last.eq(self.i.payload.last),
        ]
        m.submodules.coarse = coarse = StreamRegister(layout)
        self._shift_up(m, absolute.o, coarse.i, steps[half:])
        m.submodules.fine = fine = StreamRegister(layout)
        self._shift_up(m, coarse.o, fine.i, steps[:half])

        m.submodules.rounded = rounded = StreamRegister(self.o.signature.members["payload"].shape)
        now, later = fine.o.payload, rounded.i.payload
        kept, guard, rest = (now.magnitude[-SIGNIFICAND:], now.magnitude[-SIGNIFICAND - 1],
                             now.magnitude[:-SIGNIFICAND - 1])
        sum_ = Signal(SIGNIFICAND + 1)
        m.d.comb += [
            sum_.eq(kept + (guard & (rest.any() | kept[0]))),
            rounded.i.valid.eq(fine.o.valid),
            fine.o.ready.eq(rounded.i.ready),
            later.sign.eq(now.sign),
            # A carry out leaves zeros behind it: the significand is then a power of two.
            later.significand.eq(sum_[:SIGNIFICAND] | Cat(Const(0, SIGNIFICAND - 1), sum_[SIGNIFICAND])),
            later.exponent.eq(width - SIGNIFICAND - now.shift + sum_[SIGNIFICAND]),
            later.factor.eq(now.factor),
            later.last.eq(now.last),
        ]
        wiring.connect(m, rounded.o, wiring.flipped(self.o))
        return m

    @staticmethod
    def _shift_up(m, source, sink, steps):
        """Shift the magnitude up by each 2**step, greatest first, where that many top bits are clear."""
        m.d.comb += [sink.valid.eq(source.valid), source.ready.eq(sink.ready), sink.payload.eq(source.payload)]
        magnitude = source.payload.magnitude
        for step in reversed(steps):
            clear, shifted = Signal(name=f"clear{step}"), Signal.like(magnitude, name=f"shifted{step}")
            m.d.comb += [
                clear.eq(~magnitude[-(1 << step):].any()),
                shifted.eq(Mux(clear, magnitude << (1 << step), magnitude)),
                sink.payload.shift[step].eq(clear),
            ]
            magnitude = shifted
        m.d.comb += sink.payload.magnitude.eq(magnitude)
