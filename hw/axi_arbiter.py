"""Two AXI4 masters at one slave.

The slave is one master's, reads and writes each by themselves, until that master has nothing under way and asks for
nothing. A master that always asks keeps it. The slave answers in order.

Combinational but for the change of hands, a cycle.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.axi import AXI4Signature

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

    def elaborate(self, platform):
        m = Module()
        masters, axi = (self.first, self.second), self.axi

        def forward(source, sink, enable):
            """A channel of a master to the slave's."""
            m.d.comb += [sink.valid.eq(source.valid & enable), sink.payload.eq(source.payload),
                         source.ready.eq(sink.ready & enable)]

        for address, answer, ends in (("ar", "r", axi.r.payload.last), ("aw", "b", 1)):
            asked, answered = getattr(axi, address), getattr(axi, answer)
            owner = Signal(name=f"{address}_owner")
            under_way = Signal(range(UNDER_WAY + 1), name=f"{address}_under_way")
            m.d.sync += under_way.eq(under_way + (asked.valid & asked.ready)
                                     - (answered.valid & answered.ready & ends))
            wants = [getattr(master, address).valid for master in masters]
            if address == "aw":  # data may come before their address
                wants = [want | master.w.valid for want, master in zip(wants, masters, strict=True)]
            with m.If((under_way == 0) & ~Mux(owner, wants[1], wants[0]) & Mux(owner, wants[0], wants[1])):
                m.d.sync += owner.eq(~owner)
            for number, master in enumerate(masters):
                mine = owner == number
                with m.If(mine):
                    forward(getattr(master, address), asked, under_way != UNDER_WAY)
                    forward(answered, getattr(master, answer), 1)
                    if address == "aw":
                        forward(master.w, axi.w, 1)
        return m
