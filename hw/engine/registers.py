"""Control and status registers, and the AXI4-Lite slave in front of them.

:data:`REGISTERS` is the register map: the hardware is built from it, drivers look offsets up in it, and
``make registers`` prints it. All registers are 32 bits wide.
"""

from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat, GroupFormat
from hw.config import EngineConfig
from hw.dma.descriptor import WORDS
from hw.engine.supervisor import CAUSES
from hw.parts.axi import AXI4LiteSignature, Resp

__all__ = ["ADDR_BITS", "ID", "OFFSETS", "REGISTERS", "START", "Control", "Identity", "Register", "RegisterFile",
           "Status", "identity"]

ADDR_BITS = 8
"""Width of a register address."""
ID = 0x5EED_0002
"""What the first register reads: the design and the version of its register map."""

Identity = data.StructLayout({"c": 9, "p": 4, "k": 5, "coef_bits": 3, "bus_log2": 4, "act_bits": 5})
"""FORMAT register. ``p`` and ``k`` are 0 for codes and scales, whose width is ``coef_bits``, and for the FP16 baseline,
where that and ``act_bits`` are 0 too."""
Control = data.StructLayout({"start": 1})
"""CONTROL register."""
START: int = Control.const({"start": 1}).as_bits()
"""What to write to CONTROL to start a run."""
Status = data.StructLayout({"busy": 1, "done": 1, **dict.fromkeys(CAUSES, 1)})
"""STATUS register."""


@dataclass(frozen=True)
class Register:
    """One register: byte ``offset``, ``access`` ("ro" or "rw"), what it means, its value after reset."""

    name: str
    offset: int
    access: str
    doc: str
    init: int = 0


def _map(*rows):
    return tuple(Register(name, 4 * i, *rest) for i, (name, *rest) in enumerate(rows))


REGISTERS = _map(
    ("ID", "ro", f"{ID:#010x}: this design, this register map"),
    ("FORMAT", "ro", "what the engine was built for: c, p, k, coef_bits, log2 of bus bits, bits of an activation"),
    ("LANES", "ro", "rows computed side by side"),
    ("CONTROL", "rw", "bit 0: write 1 to start a run; reads 0"),
    ("STATUS", "ro", "bit 0 busy, 1 done, 2 read error, 3 write error, 4 activation NaN or infinite, "
     "5 descriptor of another engine or not aligned, 6 memory silent"),
    ("NEXT", "rw", "byte address of the next matrix' descriptor, a multiple of 64 and of a beat; 0 for none. From "
     "here to FACTOR_EXPONENT: the descriptor of the first matrix; a run overwrites it with those that follow"),
    ("ACTIVATION_ADDR", "rw", "byte address of the FP16 activations, a multiple of a beat"),
    ("WEIGHT_ADDR", "rw", "byte address of the weight image, a multiple of a beat"),
    ("RESULT_ADDR", "rw", "byte address of the float32 results, a multiple of a beat"),
    ("ROWS", "rw", "rows of the matrix"),
    ("BLOCKS", "rw", "blocks of a row: ceil(columns / c), for int4 to a multiple of 16"),
    ("ACTIVATION_BEATS", "rw", "beats of activations; zeros follow the last column, to the end of its block; "
     "0 for those of the matrix before"),
    ("WEIGHT_BEATS", "rw", "beats of the weight image"),
    ("FACTOR_EXPONENT", "rw", "biased exponent, 1 to 254, of the float32 by which row sums are multiplied; the format "
     "has its significand"),
    ("WATCHDOG", "rw", "cycles without a transfer on the memory bus after which a run ends; 0 for never", 1 << 16),
    ("ERROR_ADDR", "ro", "byte address of the burst that ended the run"),
    ("CYCLES", "ro", "cycles from start to done: BEATS + STARVED + REFRESH + STALLED + DRAIN"),
    ("STARVED", "ro", "cycles in which the engine waited for memory"),
    ("REFRESH", "ro", "cycles in which it waited for memory's refresh; 0 where memory does not tell"),
    ("STALLED", "ro", "cycles in which memory waited for the engine"),
    ("DRAIN", "ro", "cycles after the last beat"),
    ("BEATS", "ro", "beats read"),
    ("BYTES_READ", "ro", "bytes read, modulo 2**32"),
    ("BYTES_WRITTEN", "ro", "bytes written"),
)
_NEAR = 4
"""Registers to choose from in one step."""
OFFSETS = {register.name: register.offset for register in REGISTERS}
"""Byte offset by name."""


def identity(config: EngineConfig) -> int:
    """What the FORMAT register of an engine built from ``config`` reads."""
    fmt = config.fmt
    fields = {"c": config.c, "bus_log2": config.bus_bits.bit_length() - 1}
    if isinstance(fmt, BlockFormat):
        fields |= {"p": fmt.p, "k": fmt.k, "coef_bits": fmt.coef_bits, "act_bits": config.act_bits}
    elif isinstance(fmt, GroupFormat):
        fields |= {"coef_bits": fmt.bits, "act_bits": config.act_bits}
    return Identity.const(fields).as_bits()


class RegisterFile(wiring.Component):
    """AXI4-Lite slave over the register map, whose descriptor can be overwritten from memory.

    One access at a time; writes take 3 cycles, reads 4. Write strobes are not looked at: writes are of whole
    registers. Unmapped addresses read as 0 and ignore writes, with response SLVERR.

    Members
    -------
    axil : In(AXI4LiteSignature)
    <name> : Out(32) for each "rw" register, In(32) for each "ro" register, in lower case
    start : Out(1)
        Strobe: CONTROL.start was written.
    words : In(array of 32 bits)
    load : In(bits)
        Values for the registers of a descriptor, and which of them to set.
    """

    def __init__(self):
        members = {"axil": In(AXI4LiteSignature(ADDR_BITS)), "start": Out(1),
                   "words": In(data.ArrayLayout(32, len(WORDS))), "load": In(len(WORDS))}
        for register in REGISTERS:
            if register.name != "CONTROL":
                members[register.name.lower()] = Out(32, init=register.init) if register.access == "rw" else In(32)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        aw, w, b, ar, r = (getattr(self.axil, channel) for channel in ("aw", "w", "b", "ar", "r"))

        # A write waits for both its address and its data, and for the response to the one before to be taken.
        # Whether it is CONTROL is found out beforehand: the start goes all over the device.
        write, written, control, place, value = Signal(), Signal(), Signal(), Signal(ADDR_BITS - 2), Signal(32)
        known = Cat(place == register.offset // 4 for register in REGISTERS if register.access == "rw").any()
        m.d.comb += [
            write.eq(aw.valid & w.valid & ~written & ~b.valid),
            aw.ready.eq(write),
            w.ready.eq(write),
        ]
        m.d.sync += written.eq(write)
        with m.If(write):
            m.d.sync += [place.eq(aw.payload.addr[2:]), value.eq(w.payload.data),
                         control.eq(aw.payload.addr[2:] == OFFSETS["CONTROL"] // 4)]
        m.d.comb += self.start.eq(written & control & data.View(Control, value[:Control.size]).start)
        with m.If(b.ready):
            m.d.sync += b.valid.eq(0)
        with m.If(written):
            m.d.sync += [b.valid.eq(1), b.payload.resp.eq(Mux(known, Resp.OKAY, Resp.SLVERR))]
        with m.If(written), m.Switch(place):
            for register in REGISTERS:
                if register.access == "rw" and register.name != "CONTROL":
                    with m.Case(register.offset // 4):
                        m.d.sync += getattr(self, register.name.lower()).eq(value)

        for n, name in enumerate(WORDS):
            if name != "FORMAT":
                with m.If(self.load[n]):
                    m.d.sync += getattr(self, name.lower()).eq(self.words[n])

        # One read at a time. So many registers, all over the device, are chosen from in two steps.
        index, asked = Signal(ADDR_BITS - 2), Signal(2)
        m.d.comb += ar.ready.eq(~r.valid & ~asked.any())
        m.d.sync += asked.eq(Cat(ar.valid & ar.ready, asked[0]))
        with m.If(ar.ready):
            m.d.sync += index.eq(ar.payload.addr[2:])
        values = [Const(0, 32) if register.name == "CONTROL" else getattr(self, register.name.lower())
                  for register in REGISTERS]
        parts = []
        for i in range(0, len(values), _NEAR):
            parts.append(Signal(32, name=f"part{i}"))
            m.d.sync += parts[-1].eq(Array(values[i:i + _NEAR])[index[:_NEAR.bit_length() - 1]])
        with m.If(r.ready):
            m.d.sync += r.valid.eq(0)
        with m.If(asked[1]):
            known = index < len(values)
            m.d.sync += [
                r.valid.eq(1),
                r.payload.data.eq(Mux(known, Array(parts)[index[_NEAR.bit_length() - 1:]], 0)),
                r.payload.resp.eq(Mux(known, Resp.OKAY, Resp.SLVERR)),
            ]
        return m
