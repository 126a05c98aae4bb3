"""Control and status registers behind an AXI4-Lite subordinate, built from :mod:`hw.registers.register_map`.

Latency: BVALID rises 2 cycles after address and data of a write are accepted, and RVALID rises 3 cycles after the
address of a read is accepted. Rate: a write every 3 cycles and a read every 4 cycles, if responses are accepted at
once.
"""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.axi import AXI4LiteSignature, Resp
from hw.registers.register_map import (
    ADDR_BITS,
    ADDRESSES,
    DESCRIPTOR_REGISTERS,
    OFFSETS,
    REGISTERS,
    Control,
    Interrupt,
)

__all__ = ["RegisterFile"]

_NEAR = 4
"""How many registers a read chooses from in its first step."""
_BYTE = 8
"""Bits that one write strobe is for."""


class RegisterFile(wiring.Component):
    """AXI4-Lite subordinate over the register map, whose descriptor can be overwritten from memory.

    A write changes the bytes whose strobes are set. SLVERR is the response, and nothing changes, where an address is
    not mapped, where a register that is "ro" is written, and where one that is "rw" is written or a run started while a
    run is under way. Reads have no effects.

    Parameters
    ----------
    addr_bits : int
        Width of an address on the memory bus, bits.
    beat_words : int
        Words of a descriptor that come in one beat of the memory bus.

    Members
    -------
    axil : In(AXI4LiteSignature)
    <name> : Out(32) for each "rw" register, In(32) for each "ro" register, in lower case
    busy : In(1)
        A run is under way.
    start, abort : Out(1)
        Strobes: a run is to start, or to end. A start comes only while ``busy`` is 0.
    ended : In(1)
        Strobe: a run ends.
    irq : Out(1)
        An interrupt is pending and enabled.
    words : In(array of 32 bits)
        While ``busy`` is 1, words of a descriptor. That of register n of
        :data:`~hw.registers.register_map.DESCRIPTOR_REGISTERS` is number ``n % beat_words``.
    load : In(bits)
        For each of these registers, whether it is set to its word.
    excess : Out(bits)
        For each of :data:`~hw.registers.register_map.ADDRESSES`, whether bits beyond ``addr_bits`` were written as 1.
    """

    def __init__(self, addr_bits: int, beat_words: int) -> None:
        self._addr_bits, self._beat_words = addr_bits, beat_words
        super().__init__({
            "axil": In(AXI4LiteSignature(ADDR_BITS)), "busy": In(1), "start": Out(1), "abort": Out(1), "ended": In(1),
            "irq": Out(1), "words": In(data.ArrayLayout(32, beat_words)), "load": In(len(DESCRIPTOR_REGISTERS)),
            "excess": Out(len(ADDRESSES)),
            **{register.name.lower(): Out(32, init=register.init) if register.access == "rw" else In(32)
               for register in REGISTERS if register.access in ("rw", "ro")},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        enable, pending = Signal(Interrupt), Signal(Interrupt)
        m.d.sync += self.irq.eq((enable.as_value() & pending.as_value()).any())
        index, write, value, strobes = self._accept(m)
        self._control(m, index, write, value, strobes, enable, pending)
        self._store(m, index, write, value, strobes)
        self._read(m, enable, pending)
        return m

    def _accept(self, m: Module) -> tuple[Signal, Signal, Signal, Signal]:
        """Writes: one at a time, each once its address and its data are there and the response before is accepted.

        Returns the number of the register, a strobe, the value and the bytes to be written. They are kept from the
        strobe to the next write.
        """
        aw, w, b = self.axil.aw, self.axil.w, self.axil.b
        accepted, write, index, value, strobes = Signal(), Signal(), Signal(ADDR_BITS - 2), Signal(32), Signal(4)
        m.d.comb += [
            accepted.eq(aw.valid & w.valid & ~write & ~b.valid),
            aw.ready.eq(accepted),
            w.ready.eq(accepted),
        ]
        m.d.sync += write.eq(accepted)
        with m.If(accepted):
            m.d.sync += [index.eq(aw.payload.addr[2:]), value.eq(w.payload.data), strobes.eq(w.payload.strb)]
        return index, write, value, strobes

    def _control(self, m: Module, index: Signal, write: Signal, value: Signal, strobes: Signal, enable: data.View,
                 pending: data.View) -> None:
        """Responses, and the registers with effects of their own."""
        b, wanted = self.axil.b, data.View(Control, value[:Control.size])
        control, allowed = Signal(), Signal()
        # Whether the register is CONTROL is known a cycle ahead, because the start goes all over the device.
        aw = self.axil.aw
        with m.If(aw.ready):
            m.d.sync += control.eq(aw.payload.addr[2:] == OFFSETS["CONTROL"] // 4)
        starts = control & strobes[0] & wanted.start & ~wanted.abort
        m.d.comb += [
            self.start.eq(write & starts & ~self.busy),
            self.abort.eq(write & control & strobes[0] & wanted.abort),
        ]
        with m.Switch(index):
            for register in REGISTERS:
                with m.Case(register.offset // 4):
                    m.d.comb += allowed.eq({"ro": 0, "rw": ~self.busy, "wo": ~(starts & self.busy)}
                                           .get(register.access, 1))
        with m.If(b.ready):
            m.d.sync += b.valid.eq(0)
        with m.If(write):
            m.d.sync += [b.valid.eq(1), b.payload.resp.eq(Mux(allowed, Resp.OKAY, Resp.SLVERR))]
        with m.If(write & strobes[0] & (index == OFFSETS["IRQ_ENABLE"] // 4)):
            m.d.sync += enable.done.eq(value[0])
        with m.If(self.ended):
            m.d.sync += pending.done.eq(1)
        with m.Elif(write & strobes[0] & value[0] & (index == OFFSETS["IRQ_PENDING"] // 4)):
            m.d.sync += pending.done.eq(0)

    def _store(self, m: Module, index: Signal, write: Signal, value: Signal, strobes: Signal) -> None:
        """The "rw" registers. Writes and descriptors never come in the same cycle, so registers of the same place in a
        beat share the choice between the two."""
        sources = [Signal(32, name=f"source{n}") for n in range(self._beat_words)]
        m.d.comb += [source.eq(Mux(self.busy, word, value)) for source, word in zip(sources, self.words, strict=True)]
        beyond: dict[str, list[Signal]] = {name: [] for name in ADDRESSES}
        for register in REGISTERS:
            if register.access != "rw":
                continue
            address, high = register.name.removesuffix("_HI"), register.name.endswith("_HI")
            bits = max(self._addr_bits - 32 * high, 0) if address in beyond else 32
            stored, source, load = getattr(self, register.name.lower()), value, Const(0, 1)
            if register.name in DESCRIPTOR_REGISTERS:
                n = DESCRIPTOR_REGISTERS.index(register.name)
                source, load = sources[n % self._beat_words], self.load[n]
            written = Signal(name=f"{register.name.lower()}_written")
            m.d.comb += written.eq(write & ~self.busy & (index == register.offset // 4))
            for n, strobe in enumerate(strobes):
                byte, kept = source.word_select(n, _BYTE), min(max(bits - _BYTE * n, 0), _BYTE)
                with m.If(load | (written & strobe)):
                    m.d.sync += stored.word_select(n, _BYTE)[:kept].eq(byte[:kept])
                if kept < _BYTE:
                    excess = Signal(name=f"{register.name.lower()}_excess{n}")
                    beyond[address].append(excess)
                    with m.If(load | (written & strobe)):
                        m.d.sync += excess.eq(byte[kept:].any())
        m.d.comb += self.excess.eq(Cat(Cat(flags).any() for flags in beyond.values()))

    def _read(self, m: Module, enable: data.View, pending: data.View) -> None:
        """Reads: one at a time. The register is chosen in two steps, since there are many, all over the device."""
        ar, r = self.axil.ar, self.axil.r
        index, stage = Signal(ADDR_BITS - 2), Signal(2)
        m.d.comb += ar.ready.eq(~r.valid & ~stage.any())
        m.d.sync += stage.eq(Cat(ar.valid & ar.ready, stage[0]))
        with m.If(ar.ready):
            m.d.sync += index.eq(ar.payload.addr[2:])
        own: dict[str, Value] = {"CONTROL": Const(0, 32), "IRQ_ENABLE": enable.as_value(),
                                 "IRQ_PENDING": pending.as_value()}
        values = [own[register.name] if register.name in own else getattr(self, register.name.lower())
                  for register in REGISTERS]
        chosen = []
        for i in range(0, len(values), _NEAR):
            chosen.append(Signal(32, name=f"chosen{i}"))
            m.d.sync += chosen[-1].eq(Array(values[i:i + _NEAR])[index[:_NEAR.bit_length() - 1]])
        with m.If(r.ready):
            m.d.sync += r.valid.eq(0)
        with m.If(stage[1]):
            mapped = index < len(values)
            m.d.sync += [
                r.valid.eq(1),
                r.payload.data.eq(Mux(mapped, Array(chosen)[index[_NEAR.bit_length() - 1:]], 0)),
                r.payload.resp.eq(Mux(mapped, Resp.OKAY, Resp.SLVERR)),
            ]
