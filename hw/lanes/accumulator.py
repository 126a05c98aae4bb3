"""Accumulator: adds up the values of one row without rounding.

Latency: 1 cycle from the last value of a row to its sum. Rate: one value a cycle. The accumulator never stalls, and a
sum stays in place until the sum of the next row replaces it.
"""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.payloads import value_layout

__all__ = ["Accumulator"]


class Accumulator(wiring.Component):
    """Exact sum of the values of a row.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of value_layout)
        ``ready`` is always 1.
    o : Out(stream of signed(sum_bits))
        One sum for each row; ``valid`` for a cycle, whatever ``ready`` is.
    """

    latency = 1
    """Cycles from the last value of a row to its sum."""

    def __init__(self, config: EngineConfig):
        super().__init__({
            "i": In(stream.Signature(value_layout(config))),
            "o": Out(stream.Signature(signed(config.sum_bits))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = self.i.payload
        m.d.comb += self.i.ready.eq(1)
        row_ends = self.i.valid & value.last
        m.d.sync += self.o.valid.eq(row_ends)
        # The partial sum is cleared after a row by the resets of its flip-flops, and not by a gate before the next row,
        # so that only the carry chain lies between the register's output and its input.
        partial = Signal.like(self.o.payload)
        total = value.value + partial
        with m.If(self.i.valid):
            m.d.sync += partial.eq(total)
        with m.If(row_ends):
            m.d.sync += [partial.eq(0), self.o.payload.eq(total)]
        return m
