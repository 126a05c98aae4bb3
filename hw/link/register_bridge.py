"""The bridge from the serial link to the registers: one access at a time, as a master of AXI4-Lite.

The access is offered on the bus in the cycle in which the decoder offers it, and accepted in the cycle in which the
bus answers. The word of a read is offered 1 cycle later.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.link.protocol import WORD_BITS
from hw.parts.axi import AXI4LiteSignature, Resp
from hw.registers.register_map import ADDR_BITS

__all__ = ["ACCESS", "RegisterBridge"]

ACCESS = data.StructLayout({"write": 1, "addr": ADDR_BITS, "data": WORD_BITS})
"""An access to a register: whether it is a ``write``, the byte address, and the ``data`` of a write."""


class RegisterBridge(wiring.Component):
    """Reads and writes registers.

    Members
    -------
    i : In(stream of ACCESS)
        ``ready`` is 1 in the cycle in which the bus answers.
    refused : Out(1)
        1, in a cycle in which ``i.ready`` is 1, when the bus answers with an error.
    words : Out(stream of 32 bits)
        What a read has found, unless it was refused. No further read reaches the bus before the word is accepted.
    axil : Out(AXI4LiteSignature)
        The bus of the registers.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(ACCESS)), "refused": Out(1),
                          "words": Out(stream.Signature(WORD_BITS)), "axil": Out(AXI4LiteSignature(ADDR_BITS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        access, aw, w, b, ar, r = self.i.payload, *(getattr(self.axil, name) for name in ("aw", "w", "b", "ar", "r"))
        # Whether the bus has accepted the address, and the data, of the access that is offered.
        addr_accepted, data_accepted = Signal(), Signal()
        m.d.comb += [
            ar.payload.addr.eq(access.addr),
            aw.payload.addr.eq(access.addr),
            w.payload.data.eq(access.data),
            w.payload.strb.eq(-1),
            ar.valid.eq(self.i.valid & ~access.write & ~addr_accepted & ~self.words.valid),
            aw.valid.eq(self.i.valid & access.write & ~addr_accepted),
            w.valid.eq(self.i.valid & access.write & ~data_accepted),
            r.ready.eq(1),
            b.ready.eq(1),
            self.i.ready.eq(r.valid | b.valid),
            self.refused.eq(Mux(access.write, b.payload.resp, r.payload.resp) != Resp.OKAY),
        ]
        with m.If((ar.valid & ar.ready) | (aw.valid & aw.ready)):
            m.d.sync += addr_accepted.eq(1)
        with m.If(w.valid & w.ready):
            m.d.sync += data_accepted.eq(1)
        with m.If(self.i.ready):
            m.d.sync += [addr_accepted.eq(0), data_accepted.eq(0)]
        with m.If(self.words.ready):
            m.d.sync += self.words.valid.eq(0)
        with m.If(r.valid):
            m.d.sync += [self.words.valid.eq(r.payload.resp == Resp.OKAY), self.words.payload.eq(r.payload.data)]
        return m
