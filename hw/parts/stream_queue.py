"""A queue in a stream, in lookup-table memory.

Latency 1 cycle, one payload a cycle; ready is a register.
"""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["StreamQueue"]


class StreamQueue(wiring.Component):
    """First in, first out.

    Parameters
    ----------
    shape : ShapeLike
        Payload.
    depth : int
    credited : bool
        There is a :class:`~hw.parts.credit_gate.CreditGate` before the sender: the queue is never full and always
        ready. So no path leads from its level to its memory, which may be far.

    Members
    -------
    i, o : streams of ``shape``
    level : Out(range(depth + 1))
        Payloads held.
    """

    latency = 1
    """Cycles from a payload at the input to the same at the output of an empty queue."""

    def __init__(self, shape, depth, credited=False):
        self._depth, self._credited = depth, credited
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)),
                          "level": Out(range(depth + 1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, full, came, taken = self._depth, Signal(), Signal(), Signal()
        m.submodules.storage = storage = Memory(shape=self.i.payload.shape(), depth=depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        m.d.comb += [
            self.i.ready.eq(1 if self._credited else ~full),
            came.eq(self.i.valid & self.i.ready),
            write.en.eq(came),
            write.data.eq(self.i.payload),
            self.o.valid.eq(self.level != 0),
            self.o.payload.eq(read.data),
            taken.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += [
            self.level.eq(self.level + came - taken),
            full.eq(((self.level == depth - 1) & came & ~taken) | (full & ~taken)),
            Assert(~(came & full)),
        ]
        for moved, port in ((came, write), (taken, read)):
            place = Signal.like(port.addr)
            m.d.comb += port.addr.eq(place)
            with m.If(moved):
                m.d.sync += place.eq(Mux(place == depth - 1, 0, place + 1))
        return m
