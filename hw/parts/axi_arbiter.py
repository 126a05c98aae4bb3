"""Two AXI4 masters at one slave.

The slave is one master's, reads and writes each by themselves. When the other one asks too, the owner gets one more
burst at most, and the other has its turn once all that is under way has ended: one burst each while both always ask.
Data wait for their address. The slave answers in order.

Combinational but for the change of hands, a cycle, and for data, which can follow their address in the next cycle.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.parts.axi import AXI4Signature

__all__ = ["AxiArbiter"]

UNDER_WAY = 15
"""Bursts of a kind, at most."""


class AxiArbiter(wiring.Component):
    """Arbiter.

    Parameters
    ----------
    addr_bits, data_bits : int

    Members
    -------
    first, second : In(AXI4Signature)
        ``first`` has the slave after reset.
    axi : Out(AXI4Signature)
    """

    def __init__(self, addr_bits, data_bits):
        signature = AXI4Signature(addr_bits, data_bits)
        super().__init__({"first": In(signature), "second": In(signature), "axi": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        masters, axi = (self.first, self.second), self.axi

        def forward(source, sink, enable):
            """A channel of a master to the slave's."""
            m.d.comb += [sink.valid.eq(source.valid & enable), sink.payload.eq(source.payload),
                         source.ready.eq(sink.ready & enable)]

        for address, answer, ends in (("ar", "r", axi.r.payload.last), ("aw", "b", 1)):
            asked, answered = getattr(axi, address), getattr(axi, answer)
            owner, closed = Signal(name=f"{address}_owner"), Signal(name=f"{address}_closed")
            under_way = Signal(range(UNDER_WAY + 1), name=f"{address}_under_way")
            taken, ended = asked.valid & asked.ready, answered.valid & answered.ready & ends
            m.d.sync += under_way.eq(under_way + taken - ended)
            first, second = (getattr(master, address).valid for master in masters)
            # Closed between two bursts, never while the slave is being offered one.
            with m.If(Mux(owner, first, second)):
                with m.If(taken):
                    m.d.sync += closed.eq(1)
                with m.If((under_way == 0) & (closed | ~Mux(owner, second, first))):
                    m.d.sync += [owner.eq(~owner), closed.eq(0)]
            for number, master in enumerate(masters):
                with m.If(owner == number):
                    forward(getattr(master, address), asked, (under_way != UNDER_WAY) & ~closed)
                    forward(answered, getattr(master, answer), 1)
            if address == "aw":
                self._data(m, forward, owner, taken)
        return m

    def _data(self, m, forward, owner, taken):
        """Words of the bursts whose address was ``taken``."""
        w = self.axi.w
        owed = Signal(range(UNDER_WAY + 1))
        m.d.sync += owed.eq(owed + taken - (w.valid & w.ready & w.payload.last))
        for number, master in enumerate((self.first, self.second)):
            with m.If(owner == number):
                forward(master.w, w, owed != 0)
