"""Result packer: float32 results become beats of the bus, the first result in the least significant bits.

A beat has ``slots`` for results, which are filled in order. The last beat of a matrix need not be full: it says which
of its slots hold a result.

Latency: a beat is offered in the cycle after its last result is accepted. Rate: one result a cycle.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.payloads import result_layout

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
    bus_bits : int

    Members
    -------
    i : In(stream of result_layout)
    o : Out(stream of result_beat)
    clear : In(1)
        Strobe: the results in the beat under way are forgotten.
    """

    def __init__(self, bus_bits: int):
        super().__init__({"i": In(stream.Signature(result_layout())), "o": Out(stream.Signature(result_beat(bus_bits))),
                          "clear": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat, slots = self.o.payload, len(self.o.payload.slots)
        # One bit at least: a part selected by an index without bits is not assigned at all.
        slot = Signal(range(max(slots, 2)))
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        # The slot takes whatever is on offer until that is a result: few signals decide over a beat's many bits.
        with m.If(self.i.ready):
            m.d.sync += beat.data.word_select(slot, 8 * RESULT_BYTES).eq(self.i.payload.result)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), beat.slots.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [beat.slots.bit_select(slot, 1).eq(1), slot.eq(slot + 1)]
            with m.If(self.i.payload.last | (slot == slots - 1)):
                m.d.sync += [self.o.valid.eq(1), slot.eq(0)]
        with m.If(self.clear):
            m.d.sync += [self.o.valid.eq(0), slot.eq(0), beat.slots.eq(0)]
        return m
