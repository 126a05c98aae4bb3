"""A slice of a stream: no combinational path goes through it, neither forwards nor backwards.

Latency: 1 cycle. Rate: one payload a cycle.
"""

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamSlice", "slice_axi", "sliced"]


class StreamSlice(wiring.Component):
    """Room for two payloads: the one that is offered, and one that is accepted before the sender can know that the
    first has to wait.

    Registers say which place is read and whether it is filled, so that ``o`` comes out of one multiplexer.

    Parameters
    ----------
    shape : ShapeLike
        Shape of a payload.

    Members
    -------
    i, o : In, Out(streams of ``shape``)
    """

    latency = 1
    """Cycles from a payload at the input to the same at the output of an empty slice."""
    room = 2
    """Payloads that it can hold."""

    def __init__(self, shape: ShapeLike):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Two places, written and read in turn. An empty one stores whatever is offered, valid or not, so that no path
        # but that of the data leads to all their bits.
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


def sliced(m: Module, name: str, source: stream.Interface, count: int = 1) -> stream.Interface:
    """The stream that comes out of ``count`` slices, 0 or more, behind the stream ``source``.

    The slices are submodules of ``m``, called ``name``, ``name1``, ... Latency ``count`` cycles; one payload a cycle.
    """
    for number in range(count):
        m.submodules[f"{name}{number or ''}"] = part = StreamSlice(source.payload.shape())
        wiring.connect(m, source, part.i)
        source = part.o
    return source


def slice_axi(m: Module, name: str, master: wiring.PureInterface, slave: wiring.PureInterface) -> None:
    """Connect the AXI interface of a master to that of a slave, each channel through a slice of its own, a submodule of
    ``m`` called ``name_channel``. Latency 1 cycle in each channel; one transfer a cycle."""
    for channel, member in master.signature.members.items():
        source, sink = (master, slave) if member.flow is Out else (slave, master)
        wiring.connect(m, sliced(m, f"{name}_{channel}", getattr(source, channel)), getattr(sink, channel))
