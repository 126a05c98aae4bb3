"""A register in a stream: cuts the path of valid and payload.

Latency 1 cycle, one payload a cycle. ``i.ready`` follows ``o.ready`` combinationally.
"""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamRegister"]


class StreamRegister(wiring.Component):
    """One pipeline register with back-pressure.

    Parameters
    ----------
    shape : ShapeLike
        Payload.

    Members
    -------
    i, o : streams of ``shape``
    """

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m
