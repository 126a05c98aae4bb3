"""Control and status registers, and the AXI4-Lite subordinate in front of them.

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
from hw.engine.counters import COUNTERS
from hw.engine.supervisor import ERRORS
from hw.parts.axi import AXI4LiteSignature, Resp

__all__ = ["ADDR_BITS", "ID", "OFFSETS", "REGISTERS", "START", "Control", "Identity", "Register", "RegisterFile",
           "Status", "identity"]

ADDR_BITS = 8
"""Width of a register address."""
ID = 0x5EED_0002
"""What the first register reads: the design and the version of its register map."""

_IDENTITY = {
    "c": (9, "weights of a block"),
    "p": (4, "coefficients of a block"),
    "k": (5, "bits of a seed"),
    "coef_bits": (3, "bits of a coefficient or of an int4 code"),
    "bus_log2": (4, "base-2 logarithm of the bus's width in bits"),
    "act_bits": (5, "bits of an activation"),
}
"""Width and meaning of the fields of FORMAT, from bit 0 up."""
Identity = data.StructLayout({name: width for name, (width, _) in _IDENTITY.items()})
"""FORMAT register. ``p`` and ``k`` are 0 for int4, and for FP16 so are ``coef_bits`` and ``act_bits``."""
Control = data.StructLayout({"start": 1})
"""CONTROL register."""
START: int = Control.const({"start": 1}).as_bits()
"""What to write to CONTROL to start a run."""
_STATUS = {
    "busy": "a run is under way",
    "done": "the last run has ended",
    **{name: f"the run failed because {what}" for name, what in ERRORS.items()},
}
"""Meaning of the bits of STATUS, from bit 0 up."""
Status = data.StructLayout(dict.fromkeys(_STATUS, 1))
"""STATUS register."""


@dataclass(frozen=True)
class Register:
    """One register of the map.

    Parameters
    ----------
    name : str
    offset : int
        Byte offset.
    access : str
        "ro" for a register that can only be read, "rw" for one that can be written too.
    doc : str
        What the register holds, in sentences.
    init : int
        Value after reset.
    """

    name: str
    offset: int
    access: str
    doc: str
    init: int = 0


def _map(*rows: tuple[str, str, str] | tuple[str, str, str, int]) -> tuple[Register, ...]:
    """Registers at consecutive offsets, from (name, access, doc) or (name, access, doc, init)."""
    return tuple(Register(name, 4 * i, *rest) for i, (name, *rest) in enumerate(rows))


REGISTERS = _map(
    ("ID", "ro", f"Always {ID:#010x}, which stands for this design and this version of its register map."),
    ("FORMAT", "ro", "What the engine was built for. From bit 0 up, the fields are "
     + ", ".join(f"{name} ({Identity[name].width} bits: {meaning})" for name, (_, meaning) in _IDENTITY.items()) + "."),
    ("LANES", "ro", "Number of lanes, which is the number of rows that are computed side by side."),
    ("CONTROL", "rw", "Writing 1 to bit 0 starts a run, unless one is under way. The register reads as 0."),
    ("STATUS", "ro", " ".join(f"Bit {Status[name].offset} ({name}) says that {meaning}."
                              for name, meaning in _STATUS.items())),
    ("NEXT", "rw", "Byte address of the next matrix's descriptor, a multiple of 64 and of a beat's size; 0 when no "
     "matrix follows. The registers from here to FACTOR_EXPONENT are the descriptor of the first matrix, and a run "
     "overwrites them with the descriptors that follow."),
    ("ACTIVATION_ADDR", "rw", "Byte address of the FP16 activations, a multiple of a beat's size."),
    ("WEIGHT_ADDR", "rw", "Byte address of the weight image, a multiple of a beat's size."),
    ("RESULT_ADDR", "rw", "Byte address of the float32 results, a multiple of a beat's size."),
    ("ROWS", "rw", "Rows of the matrix."),
    ("BLOCKS", "rw", "Blocks of a row: columns / c, rounded up; for int4 rounded up to a multiple of 16."),
    ("ACTIVATION_BEATS", "rw", "Beats of activations. Zeros follow the last column's activation, to the end of its "
     "block. With 0 beats, the matrix is multiplied by the activations of the matrix before."),
    ("WEIGHT_BEATS", "rw", "Beats of the weight image."),
    ("FACTOR_EXPONENT", "rw", "Biased exponent, 1 to 254, of the float32 factor by which the sums of the rows are "
     "multiplied. The factor's significand follows from the format."),
    ("WATCHDOG", "rw", "Cycles without a transfer on the memory bus after which a run ends with a timeout; 0 switches "
     "the watchdog off.", 1 << 16),
    ("ERROR_ADDR", "ro", "Byte address of the burst that the first error of the last failed run is about."),
    *((name.upper(), "ro", doc) for name, doc in COUNTERS.items()),
)
OFFSETS = {register.name: register.offset for register in REGISTERS}
"""Byte offset by name."""
_NEAR = 4
"""How many registers a read chooses from in its first step."""


def identity(config: EngineConfig) -> int:
    """Return what the FORMAT register of an engine built from ``config`` reads."""
    fmt = config.fmt
    fields = {"c": config.c, "bus_log2": config.bus_bits.bit_length() - 1}
    if isinstance(fmt, BlockFormat):
        fields |= {"p": fmt.p, "k": fmt.k, "coef_bits": fmt.coef_bits, "act_bits": config.act_bits}
    elif isinstance(fmt, GroupFormat):
        fields |= {"coef_bits": fmt.bits, "act_bits": config.act_bits}
    return Identity.const(fields).as_bits()


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
