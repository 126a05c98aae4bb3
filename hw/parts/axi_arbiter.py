"""Two AXI4 masters at one slave.

The slave belongs to one master, for reads and for writes apart. When the other one requests it too, the owner may
start one more burst at most, and the slave changes hands once no burst is outstanding. So while both masters request,
they have one burst each in turn. Data are forwarded once their address has been. The slave answers in order.

Latency: requests, data and answers pass combinationally; a change of owner takes 1 cycle, and the data of a burst can
follow its address in the next cycle. Rate: one transfer a cycle in each channel.
"""

from amaranth.hdl import Module, Mux, Signal, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.axi import AXI4Signature

__all__ = ["OUTSTANDING", "AxiArbiter"]

OUTSTANDING = 15
"""Outstanding bursts at most, reads and writes apart."""


class AxiArbiter(wiring.Component):
    """Arbiter.

    Parameters
    ----------
    addr_bits, data_bits : int
        Widths of an address and of the data, in bits.

    Members
    -------
    first, second : In(AXI4Signature)
        The masters. The slave belongs to ``first`` after a reset.
    axi : Out(AXI4Signature)
        The slave.
    """

    def __init__(self, addr_bits: int, data_bits: int):
        signature = AXI4Signature(addr_bits, data_bits)
        super().__init__({"first": In(signature), "second": In(signature), "axi": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        masters, axi = (self.first, self.second), self.axi
        for name, answer, ends in (("ar", "r", axi.r.payload.last), ("aw", "b", 1)):
            requests, answers = getattr(axi, name), getattr(axi, answer)
            owner, closed = Signal(name=f"{name}_owner"), Signal(name=f"{name}_closed")
            outstanding = Signal(range(OUTSTANDING + 1), name=f"{name}_outstanding")
            accepted, ended = requests.valid & requests.ready, answers.valid & answers.ready & ends
            m.d.sync += outstanding.eq(outstanding + accepted - ended)
            first, second = (getattr(master, name).valid for master in masters)
            # Closed between two bursts, never while the slave is offered one.
            with m.If(Mux(owner, first, second)):
                with m.If(accepted):
                    m.d.sync += closed.eq(1)
                with m.If((outstanding == 0) & (closed | ~Mux(owner, second, first))):
                    m.d.sync += [owner.eq(~owner), closed.eq(0)]
            for number, master in enumerate(masters):
                with m.If(owner == number):
                    self._forward(m, getattr(master, name), requests, (outstanding != OUTSTANDING) & ~closed)
                    self._forward(m, answers, getattr(master, answer), 1)
            if name == "aw":
                self._forward_data(m, owner, accepted)
        return m

    @staticmethod
    def _forward(m: Module, source: stream.Interface, sink: stream.Interface, enable: ValueLike) -> None:
        """Connect a channel while ``enable`` is 1."""
        m.d.comb += [sink.valid.eq(source.valid & enable), sink.payload.eq(source.payload),
                     source.ready.eq(sink.ready & enable)]

    def _forward_data(self, m: Module, owner: Signal, accepted: ValueLike) -> None:
        """Connect the owner's data while the slave has ``accepted`` the address of a burst whose data are not over."""
        w = self.axi.w
        pending = Signal(range(OUTSTANDING + 1))
        m.d.sync += pending.eq(pending + accepted - (w.valid & w.ready & w.payload.last))
        for number, master in enumerate((self.first, self.second)):
            with m.If(owner == number):
                self._forward(m, master.w, w, pending != 0)
