"""The register map: names, offsets, fields and meanings of the registers, all of which are 32 bits wide.

The hardware is built from :data:`REGISTERS`, drivers look offsets up in it, ``make registers`` prints it, and ``make
ip`` writes it as a C header, as SystemRDL and as JSON. What is more than 32 bits wide, an address, takes two registers:
the one with its name holds bits 31 to 0, and the next one, ``..._HI``, bits 63 to 32.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from amaranth.lib import data
from amaranth.utils import exact_log2

from golden.spec import BlockFormat, GroupFormat, HalfFormat, TrellisFormat
from hw.config import EngineConfig
from hw.registers.cycle_classes import CYCLE_CLASSES, WAITING

__all__ = ["ABORT", "ADDRESSES", "ADDR_BITS", "COUNTERS", "DESCRIPTOR_REGISTERS", "ERRORS", "ID", "OFFSETS",
           "REGISTERS", "START", "Capability", "Control", "Field", "Identity", "Interrupt", "Register", "Status",
           "capability", "identity"]

ADDR_BITS = 8
"""Width of a register address."""
ID = 0x5EED_0003
"""What the first register reads: the design in the upper half, the edition of its register map in the lower one."""

ERRORS = {
    "read_error": "memory answered a read with an error",
    "write_error": "memory answered a write with an error",
    "not_finite": "an activation is NaN or infinite",
    "bad_descriptor": "a descriptor is for another engine, or its reserved words are not 0",
    "timeout": "memory transferred nothing for as many cycles as WATCHDOG says",
    "bad_address": "the address of a region or of the next descriptor is not aligned, or the region does not end "
                   "within the engine's addresses",
    "bad_size": "ROWS, BLOCKS or FACTOR_EXPONENT is out of range",
    "bad_activations": "ACTIVATION_BEATS is not what BLOCKS needs, or there is no vector of as many blocks to share",
    "bad_weights": "WEIGHT_BEATS is not what ROWS and BLOCKS need",
    "protocol_error": "memory broke a rule of AXI: RLAST came early or not at all, or an answer that nobody asked for",
    "aborted": "software wrote CONTROL.abort",
}
"""What ends a run, by the names of the STATUS register's bits, in their order."""
COUNTERS = {
    "cycles": "Cycles from the start of the run to its end: the sum of BEATS, "
              f"{', '.join(name.upper() for name in list(WAITING)[:-1])} and {list(WAITING)[-1].upper()}.",
    **WAITING,
    "beats": CYCLE_CLASSES["beats"],
    "write_beats": "Beats that the engine wrote in the run; those of which not all bytes hold results count too.",
}
"""What each counter counts, by name, in the order of the registers. When CYCLES has reached 2**32 - 1, all
counters stop."""


@dataclass(frozen=True)
class Field:
    """A part of a register.

    Parameters
    ----------
    name : str
    lsb, bits : int
        Number of its lowest bit, and its width.
    doc : str
        What it holds, in sentences.
    """

    name: str
    lsb: int
    bits: int
    doc: str


@dataclass(frozen=True)
class Register:
    """One register of the map.

    Parameters
    ----------
    name : str
    offset : int
        Byte offset.
    access : str
        "ro" for a register that can only be read; "rw" for one that can be written while no run is under way; "rw
        always" for one that can be written at any time; "wo" for one that reads as 0; "w1c" for one whose bits are
        cleared by writing 1 to them.
    doc : str
        What the register holds, in sentences.
    fields : tuple of Field
        Its parts, from bit 0 up; the bits of no field read as 0. The empty tuple stands for one number of 32 bits.
    init : int
        Value after reset.
    """

    name: str
    offset: int
    access: str
    doc: str
    fields: tuple[Field, ...] = ()
    init: int = 0


def _fields(**fields: tuple[int, str]) -> tuple[Field, ...]:
    """Fields that follow each other from bit 0 up, from their widths and meanings by name."""
    made: list[Field] = []
    for name, (bits, doc) in fields.items():
        made.append(Field(name, made[-1].lsb + made[-1].bits if made else 0, bits, doc))
    return tuple(made)


def _layout(fields: tuple[Field, ...]) -> data.StructLayout:
    """The fields as bits of hardware."""
    return data.StructLayout({field.name: field.bits for field in fields})


_IDENTITY = _fields(
    c=(9, "Weights of a block."),
    p=(4, "Coefficients of a block; 0 where blocks have none."),
    k=(5, "Bits of a seed, or of an integer's or a trellis's code; 0 for FP16."),
    coef_bits=(3, "Bits of a coefficient; 0 where blocks have none."),
    bus_log2=(4, "Base-2 logarithm of the bus's width in bits."),
    act_bits=(5, "Bits of an activation; 0 for FP16."),
    row_heads=(1, "1 where the first block of a row is its head, which holds its scale in the place of exponents."),
)
_CAPABILITY = _fields(
    lanes_log2=(4, "Base-2 logarithm of the number of lanes, which is the number of rows computed side by side."),
    addr_bits=(7, "Bits of an address. The bits above must be 0."),
    max_rows_log2=(5, "Base-2 logarithm of the largest ROWS."),
    max_cols_log2=(5, "Base-2 logarithm of the number of columns of the widest matrix."),
)
_CONTROL = _fields(
    start=(1, "Writing 1 starts a run. While a run is under way the answer is SLVERR."),
    abort=(1, "Writing 1 ends the run that is under way, with the cause ABORTED. The same write starts nothing."),
)
_STATUS = _fields(
    busy=(1, "A run is under way."),
    done=(1, "The last run has ended."),
    **{name: (1, f"The run failed because {what}.") for name, what in ERRORS.items()},
    settling=(1, "Memory may still answer what a failed run, or one before a reset, asked for. The buffers of that run "
                 "must not be used for something else meanwhile; the next run waits for the end by itself."),
)
_INTERRUPT = _fields(done=(1, "A run has ended, well or not."))

Identity = _layout(_IDENTITY)
"""FORMAT register."""
Capability = _layout(_CAPABILITY)
"""CAPABILITY register."""
Control = _layout(_CONTROL)
"""CONTROL register."""
Status = _layout(_STATUS)
"""STATUS register."""
Interrupt = _layout(_INTERRUPT)
"""IRQ_ENABLE and IRQ_PENDING registers."""
START: int = Control.const({"start": 1}).as_bits()
"""What to write to CONTROL to start a run."""
ABORT: int = Control.const({"abort": 1}).as_bits()
"""What to write to CONTROL to end a run."""


def _address(name: str, doc: str, access: str = "rw") -> Iterator[tuple[str, str, str]]:
    """The two registers of an address."""
    yield name, access, f"{doc} Bits 31 to 0 of the byte address."
    yield f"{name}_HI", access, f"Bits 63 to 32 of {name}."


def _map(*rows: tuple) -> tuple[Register, ...]:
    """Registers at consecutive offsets, from (name, access, doc), and fields and initial value if there are any."""
    return tuple(Register(name, 4 * i, *rest) for i, (name, *rest) in enumerate(rows))


_DESCRIPTOR = (
    *_address("NEXT", "Where the next matrix's descriptor lies, at a multiple of 64 and of a beat's size; 0 when no "
              "matrix follows. The registers from here to FACTOR_EXPONENT are the descriptor of the first matrix, and "
              "a run overwrites them with the descriptors that follow. Bits that the engine's addresses do not have "
              "read as 0; a matrix for which one of them was written as 1 is refused as BAD_ADDRESS."),
    *_address("ACTIVATION_ADDR", "Where the FP16 activations lie, at a multiple of a beat's size."),
    *_address("WEIGHT_ADDR", "Where the weight image lies, at a multiple of a beat's size."),
    *_address("RESULT_ADDR", "Where the float32 results go, to a multiple of a beat's size."),
    ("ROWS", "rw", "Rows of the matrix."),
    ("BLOCKS", "rw", "Blocks of a row: columns / c, rounded up; for integers at least 16. The head of a row, where "
     "FORMAT has row_heads, is one block more."),
    ("ACTIVATION_BEATS", "rw", "Beats of activations, as many as c numbers for each block of a row but its head take. "
     "Zeros follow the last column's activation, to the end of its block. With 0 beats, the matrix is multiplied by "
     "the activations of the matrix before it in the run, which must have as many blocks."),
    ("WEIGHT_BEATS", "rw", "Beats of the weight image."),
    ("FACTOR_EXPONENT", "rw", "Biased exponent, 1 to 254, of the float32 factor by which the sums of the rows are "
     "multiplied. The factor's significand follows from the format."),
)
ADDRESSES = ("NEXT", "ACTIVATION_ADDR", "WEIGHT_ADDR", "RESULT_ADDR")
"""Names of the addresses in a descriptor."""
DESCRIPTOR_REGISTERS = tuple(name for name, *_ in _DESCRIPTOR)
"""Names of the registers that hold the descriptor of a matrix, in their order."""

REGISTERS = _map(
    ("ID", "ro", f"Always {ID:#010x}. The upper half stands for this design, the lower one for this edition of its "
     "register map."),
    ("FORMAT", "ro", "What the engine was built for.", _IDENTITY),
    ("CAPABILITY", "ro", "How large the engine is.", _CAPABILITY),
    ("CONTROL", "wo", "Starts and ends runs.", _CONTROL),
    ("STATUS", "ro", "What became of the last run. A start clears the bits from READ_ERROR to ABORTED.", _STATUS),
    ("IRQ_ENABLE", "rw always", "The interrupt is high while a bit is 1 both here and in IRQ_PENDING.", _INTERRUPT),
    ("IRQ_PENDING", "w1c", "What has happened since the bit was cleared.", _INTERRUPT),
    ("WATCHDOG", "rw", "Cycles without a transfer on the memory bus after which a run ends with a timeout; 0 switches "
     "the watchdog off.", (), 1 << 16),
    *_address("ERROR_ADDR", "What the first error of the last run is about; 0 when there is none. For BAD_ADDRESS, the "
              "address itself, without bits that the engine's addresses do not have; for BAD_DESCRIPTOR, BAD_SIZE, "
              "BAD_ACTIVATIONS and BAD_WEIGHTS, where the descriptor lies, and 0 when it is the registers; for others, "
              "the burst.", "ro"),
    *_DESCRIPTOR,
    *((name.upper(), "ro", doc) for name, doc in COUNTERS.items()),
)
OFFSETS = {register.name: register.offset for register in REGISTERS}
"""Byte offset by name."""


_FORMAT_FIELDS: dict[type, Callable[[Any], dict[str, int]]] = {
    BlockFormat: lambda fmt: {"p": fmt.p, "k": fmt.k, "coef_bits": fmt.coef_bits},
    GroupFormat: lambda fmt: {"k": fmt.bits},
    TrellisFormat: lambda fmt: {"k": fmt.bits},
    HalfFormat: lambda fmt: {},
}
"""What the FORMAT register says of the formats of each family."""


def identity(config: EngineConfig) -> int:
    """Return what the FORMAT register of an engine built from ``config`` reads."""
    fmt = config.fmt
    return Identity.const({
        "c": config.c, "bus_log2": exact_log2(config.bus_bits), "act_bits": config.act_bits * fmt.block_floating,
        "row_heads": fmt.head_blocks, **_FORMAT_FIELDS[type(fmt)](fmt)}).as_bits()


def capability(config: EngineConfig) -> int:
    """Return what the CAPABILITY register of an engine built from ``config`` reads."""
    return Capability.const({
        "lanes_log2": exact_log2(config.lanes), "addr_bits": config.addr_bits,
        "max_rows_log2": exact_log2(config.max_rows), "max_cols_log2": exact_log2(config.max_cols)}).as_bits()
