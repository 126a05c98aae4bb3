"""A queue in a stream, in lookup-table memory.

Latency: 1 cycle. Rate: one payload a cycle. Ready comes from a register.
"""

from amaranth.hdl import Assert, Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["StreamQueue"]


class StreamQueue(wiring.Component):
    """First in, first out.

    Parameters
    ----------
    shape : ShapeLike
        Shape of a payload.
    depth : int
        Payloads that it can hold.
    credited : bool
        A :class:`~hw.parts.credit_gate.CreditGate` before the sender sees to it that the queue is never offered more
        than it can hold. It is then always ready, so that no path leads from its level to its memory, which may be far.

    Members
    -------
    i, o : In, Out(streams of ``shape``)
    level : Out(range(depth + 1))
        Payloads that it holds.
    """

    latency = 1
    """Cycles from a payload at the input to the same at the output of an empty queue."""

    def __init__(self, shape: ShapeLike, depth: int, credited: bool = False):
        self._depth, self._credited = depth, credited
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)),
                          "level": Out(range(depth + 1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, full, pushed, popped = self._depth, Signal(), Signal(), Signal()
        m.submodules.storage = storage = Memory(shape=self.i.payload.shape(), depth=depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        m.d.comb += [
            self.i.ready.eq(1 if self._credited else ~full),
            pushed.eq(self.i.valid & self.i.ready),
            write.en.eq(pushed),
            write.data.eq(self.i.payload),
            self.o.valid.eq(self.level != 0),
            self.o.payload.eq(read.data),
            popped.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += [
            self.level.eq(self.level + pushed - popped),
            full.eq(((self.level == depth - 1) & pushed & ~popped) | (full & ~popped)),
            Assert(~(pushed & full)),
        ]
        for moved, port in ((pushed, write), (popped, read)):
            pointer = Signal.like(port.addr)
            m.d.comb += port.addr.eq(pointer)
            with m.If(moved):
                m.d.sync += pointer.eq(Mux(pointer == depth - 1, 0, pointer + 1))
        return m
