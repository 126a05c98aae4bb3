"""A slice of a stream: no path goes through, neither forwards nor backwards.

Latency 1 cycle, one payload a cycle.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamSlice", "slice_axi", "sliced"]


class StreamSlice(wiring.Component):
    """Room for two payloads: the one on offer, and one that comes before its sender knows that it is not taken.

    What tells them apart, and whether they are there, are registers; so ``o`` comes out of one multiplexer.

    Parameters
    ----------
    shape : ShapeLike
        Payload.

    Members
    -------
    i, o : streams of ``shape``
    """

    latency = 1
    """Cycles from a payload at the input to the same at the output of an empty slice."""
    room = 2
    """Payloads that fit in."""

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Two places, written and read in turn. An empty one takes whatever is on offer, so that no path but that of
        # the data leads to all their bits.
        write, read, filled = Signal(), Signal(), Signal(2)
        places = [Signal.like(self.i.payload, name=f"place{n}", reset_less=True) for n in range(2)]
        m.d.comb += [
            self.i.ready.eq(~filled.bit_select(write, 1)),
            self.o.valid.eq(filled.bit_select(read, 1)),
            self.o.payload.eq(Mux(read, places[1], places[0])),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [write.eq(~write), filled.bit_select(write, 1).eq(1)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [read.eq(~read), filled.bit_select(read, 1).eq(0)]
        for n, place in enumerate(places):
            with m.If(~filled[n]):
                m.d.sync += place.eq(self.i.payload)
        return m


def sliced(m, name, source, count=1):
    """The stream that comes out of ``count`` slices, submodules ``name`` of ``m``, behind the stream ``source``;
    latency ``count`` cycles."""
    for number in range(count):
        m.submodules[f"{name}{number or ''}"] = part = StreamSlice(source.payload.shape())
        wiring.connect(m, source, part.i)
        source = part.o
    return source


def slice_axi(m, name, master, slave):
    """Connect the AXI interface of a master to that of a slave, each channel through a slice."""
    for channel, member in master.signature.members.items():
        source, sink = (master, slave) if member.flow is Out else (slave, master)
        wiring.connect(m, sliced(m, f"{name}_{channel}", getattr(source, channel)), getattr(sink, channel))
