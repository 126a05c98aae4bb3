"""Result packer: float32 results become beats of the bus, the first result in the least significant bits.

A beat has ``slots`` for results, which are filled in order. The last beat of a matrix need not be full: it says which
of its slots hold a result.

Latency: a beat is offered in the cycle after its last result is accepted. Rate: ``results_per_cycle`` results a cycle.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.payloads import results_layout

__all__ = ["RESULT_BYTES", "ResultPacker", "result_beat"]

RESULT_BYTES = 4
"""Bytes of a result, a float32."""


def result_beat(bus_bits: int) -> data.StructLayout:
    """A beat's ``data`` (``bus_bits``), and for each of its ``slots`` of 32 bits whether it holds a result."""
    return data.StructLayout({"data": bus_bits, "slots": bus_bits // (8 * RESULT_BYTES)})


class ResultPacker(wiring.Component):
    """Results become beats.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of results_layout)
        All results are there, except behind the last one of a matrix.
    o : Out(stream of result_beat)
    clear : In(1)
        Strobe: the results in the beat under way are forgotten.
    """

    def __init__(self, config: EngineConfig):
        self._count = config.results_per_cycle
        super().__init__({"i": In(stream.Signature(results_layout(config))),
                          "o": Out(stream.Signature(result_beat(config.bus_bits))), "clear": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat, count, width = self.o.payload, self._count, 8 * RESULT_BYTES * self._count
        steps = len(beat.slots) // count
        results, valid = self.i.payload.as_value()[:width], self.i.payload.valid if count > 1 else 1
        # `slot` counts slots that are filled at once. It has one bit at least: a part selected by an index without bits
        # is not assigned at all.
        slot = Signal(range(max(steps, 2)))
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        # The slot takes whatever is on offer until that is a result: few signals decide over a beat's many bits.
        with m.If(self.i.ready):
            m.d.sync += beat.data.word_select(slot, width).eq(results)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), beat.slots.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [beat.slots.word_select(slot, count).eq(valid), slot.eq(slot + 1)]
            with m.If(self.i.payload.last | (slot == steps - 1)):
                m.d.sync += [self.o.valid.eq(1), slot.eq(0)]
        with m.If(self.clear):
            m.d.sync += [self.o.valid.eq(0), slot.eq(0), beat.slots.eq(0)]
        return m
