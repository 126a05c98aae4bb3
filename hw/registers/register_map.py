"""The register map: names, offsets, fields and meanings of the registers, all of which are 32 bits wide.

The hardware is built from :data:`REGISTERS`, drivers look offsets up in it, and ``make registers`` prints it.
"""

from dataclasses import dataclass

from amaranth.lib import data

from golden.spec import BlockFormat, GroupFormat
from hw.config import EngineConfig
from hw.registers.cycle_classes import CYCLE_CLASSES, WAITING

__all__ = ["ADDR_BITS", "COUNTERS", "ERRORS", "ID", "OFFSETS", "REGISTERS", "START", "Control", "Identity", "Register",
           "Status", "identity"]

ADDR_BITS = 8
"""Width of a register address."""
ID = 0x5EED_0002
"""What the first register reads: the design and the version of its register map."""

ERRORS = {
    "read_error": "memory answered a read with an error",
    "write_error": "memory answered a write with an error",
    "not_finite": "an activation is NaN or infinite",
    "bad_descriptor": "a descriptor is for another engine, or its NEXT is not aligned",
    "timeout": "memory transferred nothing for as many cycles as WATCHDOG says",
}
"""What ends a run, by the names of the STATUS register's bits, in their order."""
COUNTERS = {
    "cycles": "Cycles from the start of the run to its end: the sum of BEATS, "
              f"{', '.join(name.upper() for name in list(WAITING)[:-1])} and {list(WAITING)[-1].upper()}.",
    **WAITING,
    "beats": CYCLE_CLASSES["beats"],
    "bytes_read": "Bytes that the engine read in the run, modulo 2**32.",
    "bytes_written": "Bytes that the engine wrote in the run, modulo 2**32; a beat counts whole.",
}
"""What each counter counts, by name, in the order of the registers."""

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


def identity(config: EngineConfig) -> int:
    """Return what the FORMAT register of an engine built from ``config`` reads."""
    fmt = config.fmt
    fields = {"c": config.c, "bus_log2": config.bus_bits.bit_length() - 1}
    if isinstance(fmt, BlockFormat):
        fields |= {"p": fmt.p, "k": fmt.k, "coef_bits": fmt.coef_bits, "act_bits": config.act_bits}
    elif isinstance(fmt, GroupFormat):
        fields |= {"coef_bits": fmt.bits, "act_bits": config.act_bits}
    return Identity.const(fields).as_bits()
