"""Registers across a stream: no path goes through, neither forwards nor backwards.

Latency 1 cycle, one payload a cycle.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamSlice", "slice_axi"]


class StreamSlice(wiring.Component):
    """Room for two payloads: the one on offer, and one that comes before its sender knows that it is not taken.

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
        resting, rest = Signal(), Signal.like(self.i.payload, reset_less=True)
        m.d.comb += self.i.ready.eq(~resting)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | resting),
                self.o.payload.eq(Mux(resting, rest, self.i.payload)),
                resting.eq(0),
            ]
        with m.Elif(self.i.valid & ~resting):
            m.d.sync += [rest.eq(self.i.payload), resting.eq(1)]
        return m


def slice_axi(m, name, master, slave):
    """Connect the AXI interface of a master to that of a slave, each channel through a slice."""
    for channel, member in master.signature.members.items():
        source, sink = (master, slave) if member.flow is Out else (slave, master)
        shape = member.signature.members["payload"].shape
        m.submodules[f"{name}_{channel}"] = part = StreamSlice(shape)
        wiring.connect(m, getattr(source, channel), part.i)
        wiring.connect(m, part.o, getattr(sink, channel))
