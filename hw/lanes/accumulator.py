"""Accumulator: adds up one row without rounding.

Latency 1 cycle from the last value of a row to its sum; one value a cycle. Never stalls; a sum stays in place until
that of the next row.
"""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.payloads import value_layout

__all__ = ["Accumulator"]


class Accumulator(wiring.Component):
    """Exact sum of the values of a row.

    Members
    -------
    i : In(stream of value_layout)
        ``ready`` is always 1.
    o : Out(stream of signed(sum_bits))
        ``ready`` is not looked at.
    """

    latency = 1
    """Cycles from the last value of a row to its sum."""

    def __init__(self, config: EngineConfig):
        super().__init__({
            "i": In(stream.Signature(value_layout(config))),
            "o": Out(stream.Signature(signed(config.sum_bits))),
        })

    def elaborate(self, platform):
        m = Module()
        value = self.i.payload
        m.d.comb += self.i.ready.eq(1)
        ends = self.i.valid & value.last
        m.d.sync += self.o.valid.eq(ends)
        # Cleared behind a row, by the flip-flops' resets, rather than gated before the next one: nothing but the carry
        # chain lies on the way round.
        held = Signal.like(self.o.payload)
        total = value.value + held
        with m.If(self.i.valid):
            m.d.sync += held.eq(total)
        with m.If(ends):
            m.d.sync += [held.eq(0), self.o.payload.eq(total)]
        return m
