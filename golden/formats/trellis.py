"""The trellis formats: weights as windows of a stream of bits, which seed the LFSR.

A row of a matrix is one stream of bits. The window of weight i is ``window`` bits of it, from bit ``bits * i`` on, so
that each weight brings ``bits`` new bits and shares the others with the weights before it. The window, with zeros above
it, is the seed of SeedLM's LFSR of 16 bits. A few fields of the bits that this LFSR puts out, added and centred, are
the weight's integer, and one scale for the row makes the weight of it::

    weight = value(window) * scale * 2**bias,    value(window) = (sum of the fields of its LFSR's output) - offset

This is a bitshift trellis as in QTIP (arXiv 2406.11235), with the LFSR in the place of its random code. A row is stored
as blocks of ``c * bits`` bits. The first one is its head, and each other one has the codes of ``c`` weights, the last
of them padded with zeros. Their bits, least significant first, are::

    scale [16, FP16] | start [window - bits] | zeros
    code of weight 0 [bits] | ... | code of weight c - 1 [bits]

The stream of a row is its start and its codes: the window of weight 0 is its code above the start.
"""

from dataclasses import dataclass
from typing import ClassVar

from golden.formats.base import HEAD_FIELDS, SCALE_BITS, TAPS, FormatError, require

__all__ = ["LFSR_BITS", "TRELLIS2", "TRELLIS3", "TRELLIS4", "TRELLIS_FORMATS", "TrellisFormat"]

LFSR_BITS = 16
"""Length of the LFSR that a window seeds; its taps are those of :data:`golden.spec.TAPS`."""
_OUTPUT = 96
"""Bits of the LFSR's output that fields may lie in."""


@dataclass(frozen=True)
class TrellisFormat:
    """One trellis format.

    Parameters
    ----------
    c : int
        Weights in a block, 1 to 256; so many that a block holds what the head does.
    bits : int
        New bits of each weight, 1 to 8.
    window : int
        Bits that decide a weight, from ``bits + 3`` to 16.
    fields : tuple of (int, int)
        First bit and width of each field of the LFSR's output. Bit 0 of the output is bit 0 of the seed, and bit t that
        of the state after t steps, so that the first 16 bits are the seed itself. Fields may overlap; a width is 1 to
        8, and no field reaches beyond bit 95.

    Raises
    ------
    FormatError
        When a parameter is out of its range.
    """

    c: int
    bits: int
    window: int
    fields: tuple[tuple[int, int], ...]

    group_blocks: ClassVar[int] = 1
    """Blocks that share a scale of their own: there are none."""
    head_blocks: ClassVar[int] = 1
    """Blocks of a row, before all others, that hold no weights but its scale and its start."""
    divisor: ClassVar[int] = 1
    """What row sums are divided by, beside powers of two."""
    block_floating: ClassVar[bool] = True
    """Activations are integers under one exponent for the whole vector."""
    dot_shift: ClassVar[int] = 0
    """Bits by which a block's dot product grows before it is added to its row's sum."""

    def __post_init__(self) -> None:
        require("trellis format", "c", self.c, 1, 256)
        require("trellis format", "bits", self.bits, 1, 8)
        require("trellis format", "window", self.window, self.bits + 3, LFSR_BITS)
        require("trellis format", "the number of fields", len(self.fields), 1, 8)
        for low, width in self.fields:
            require("trellis format", "a field's width", width, 1, 8)
            require("trellis format", "a field's first bit", low, 0, _OUTPUT - width)
        if self.block_bits < SCALE_BITS + self.start_bits:
            raise FormatError(f"trellis format: a block of {self.block_bits} bits does not hold the scale and the "
                              f"start of a row, {SCALE_BITS + self.start_bits} bits")

    @property
    def block_bits(self) -> int:
        """Bits of one stored block."""
        return self.c * self.bits

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for one weight, before heads and any padding of rows and columns."""
        return float(self.bits)

    @property
    def head_fields(self) -> dict[str, tuple[int, int]]:
        """``{name: (lowest bit, width)}`` of the fields of the head: ``scale`` and ``start``."""
        return HEAD_FIELDS | {"start": (SCALE_BITS, self.start_bits)}

    @property
    def taps(self) -> tuple[int, ...]:
        """Feedback taps of the LFSR."""
        return TAPS[LFSR_BITS]

    @property
    def output_bits(self) -> int:
        """Bits of the LFSR's output that are needed, from its first on."""
        return max(low + width for low, width in self.fields)

    @property
    def start_bits(self) -> int:
        """Bits that two neighbouring windows share, and bits of a row's stream before its first code."""
        return self.window - self.bits

    @property
    def offset(self) -> int:
        """What is subtracted from the sum of the fields: half of the greatest sum, rounded down."""
        return sum((1 << width) - 1 for _, width in self.fields) // 2

    @property
    def value_min(self) -> int:
        """The least integer that a window can stand for; that of the window of zeros."""
        return -self.offset

    @property
    def value_max(self) -> int:
        """An integer that no window's is above."""
        return sum((1 << width) - 1 for _, width in self.fields) - self.offset

    @property
    def numerator_max(self) -> int:
        """A magnitude that no weight's integer is above."""
        return max(-self.value_min, self.value_max)

    @property
    def name(self) -> str:
        """That of :data:`TRELLIS_FORMATS`, or ``trellis{bits},{c},{window}`` for any other."""
        for name, fmt in TRELLIS_FORMATS.items():
            if fmt == self:
                return name
        return f"trellis{self.bits},{self.c},{self.window}"

    def row_bits(self, columns: int) -> int:
        """Bits of a row of so many weights, its scale and its start among them, without the padding of blocks."""
        return SCALE_BITS + self.start_bits + self.bits * columns


TRELLIS4 = TrellisFormat(c=8, bits=4, window=12, fields=((34, 4), (37, 4), (46, 4)))
"""4 bits a weight, and a head for each row."""
TRELLIS3 = TrellisFormat(c=12, bits=3, window=12, fields=((33, 5), (38, 5), (43, 5)))
"""3 bits a weight, and a head for each row."""
TRELLIS2 = TrellisFormat(c=16, bits=2, window=12, fields=((34, 4), (37, 4), (46, 4)))
"""2 bits a weight, and a head for each row."""
TRELLIS_FORMATS = {"trellis4": TRELLIS4, "trellis3": TRELLIS3, "trellis2": TRELLIS2}
"""The named formats."""
