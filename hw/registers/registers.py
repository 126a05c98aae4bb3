"""Control and status registers behind an AXI4-Lite subordinate, built from :mod:`hw.registers.register_map`."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.dma.descriptor import WORDS
from hw.parts.axi import AXI4LiteSignature, Resp
from hw.registers.register_map import ADDR_BITS, OFFSETS, REGISTERS, Control

__all__ = ["RegisterFile"]

_NEAR = 4
"""How many registers a read chooses from in its first step."""


class RegisterFile(wiring.Component):
    """AXI4-Lite subordinate over the register map, whose descriptor can be overwritten from memory.

    Latency: BVALID rises 2 cycles after address and data of a write are accepted, and RVALID rises 3 cycles after the
    address of a read is accepted. Rate: a write every 3 cycles and a read every 4 cycles, if responses are accepted at
    once. Write strobes are ignored: a write is always of a whole register. Addresses that are not mapped read as 0 and
    ignore writes; their response is SLVERR, which is also the response to a write to a register that is "ro".

    Members
    -------
    axil : In(AXI4LiteSignature)
    <name> : Out(32) for each "rw" register except CONTROL, In(32) for each "ro" register, in lower case
    start : Out(1)
        Strobe: 1 was written to CONTROL.start.
    words : In(array of 32 bits)
        New values of the registers of a descriptor, in the order of :data:`~hw.dma.descriptor.WORDS`.
    load : In(bits)
        For each of ``words``, whether its register is set to it. The word FORMAT has no register that is set.
    """

    def __init__(self) -> None:
        members = {"axil": In(AXI4LiteSignature(ADDR_BITS)), "start": Out(1),
                   "words": In(data.ArrayLayout(32, len(WORDS))), "load": In(len(WORDS))}
        for register in REGISTERS:
            if register.name != "CONTROL":
                members[register.name.lower()] = Out(32, init=register.init) if register.access == "rw" else In(32)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._write(m)
        self._load(m)
        self._read(m)
        return m

    def _write(self, m: Module) -> None:
        """Writes: one at a time, each once its address and its data are there and the response before is accepted."""
        aw, w, b = self.axil.aw, self.axil.w, self.axil.b
        accepted, write, control, index, value = Signal(), Signal(), Signal(), Signal(ADDR_BITS - 2), Signal(32)
        writable = Cat(index == register.offset // 4 for register in REGISTERS if register.access == "rw").any()
        m.d.comb += [
            accepted.eq(aw.valid & w.valid & ~write & ~b.valid),
            aw.ready.eq(accepted),
            w.ready.eq(accepted),
        ]
        m.d.sync += write.eq(accepted)
        # Whether the register is CONTROL is known a cycle ahead, because the start goes all over the device.
        with m.If(accepted):
            m.d.sync += [index.eq(aw.payload.addr[2:]), value.eq(w.payload.data),
                         control.eq(aw.payload.addr[2:] == OFFSETS["CONTROL"] // 4)]
        m.d.comb += self.start.eq(write & control & data.View(Control, value[:Control.size]).start)
        with m.If(b.ready):
            m.d.sync += b.valid.eq(0)
        with m.If(write):
            m.d.sync += [b.valid.eq(1), b.payload.resp.eq(Mux(writable, Resp.OKAY, Resp.SLVERR))]
        with m.If(write), m.Switch(index):
            for register in REGISTERS:
                if register.access == "rw" and register.name != "CONTROL":
                    with m.Case(register.offset // 4):
                        m.d.sync += getattr(self, register.name.lower()).eq(value)

    def _load(self, m: Module) -> None:
        """Descriptors from memory."""
        for n, name in enumerate(WORDS):
            if name != "FORMAT":
                with m.If(self.load[n]):
                    m.d.sync += getattr(self, name.lower()).eq(self.words[n])

    def _read(self, m: Module) -> None:
        """Reads: one at a time. The register is chosen in two steps, since there are many, all over the device."""
        ar, r = self.axil.ar, self.axil.r
        index, pending = Signal(ADDR_BITS - 2), Signal(2)
        m.d.comb += ar.ready.eq(~r.valid & ~pending.any())
        m.d.sync += pending.eq(Cat(ar.valid & ar.ready, pending[0]))
        with m.If(ar.ready):
            m.d.sync += index.eq(ar.payload.addr[2:])
        values = [Const(0, 32) if register.name == "CONTROL" else getattr(self, register.name.lower())
                  for register in REGISTERS]
        chosen = []
        for i in range(0, len(values), _NEAR):
            chosen.append(Signal(32, name=f"chosen{i}"))
            m.d.sync += chosen[-1].eq(Array(values[i:i + _NEAR])[index[:_NEAR.bit_length() - 1]])
        with m.If(r.ready):
            m.d.sync += r.valid.eq(0)
        with m.If(pending[1]):
            mapped = index < len(values)
            m.d.sync += [
                r.valid.eq(1),
                r.payload.data.eq(Mux(mapped, Array(chosen)[index[_NEAR.bit_length() - 1:]], 0)),
                r.payload.resp.eq(Mux(mapped, Resp.OKAY, Resp.SLVERR)),
            ]
