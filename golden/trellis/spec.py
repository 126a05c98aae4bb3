"""The trellis formats: every constant that golden, the hardware and the host share.

A row of a matrix is one stream of bits. The window of weight i is ``window`` bits of it, from bit ``bits * i`` on, so
that each weight brings ``bits`` new bits and shares the others with the weights before it. The window, with zeros above
it, is the seed of SeedLM's LFSR of 16 bits. A few fields of the bits that this LFSR puts out, added and centred, are
the weight's integer, and one scale for the row makes the weight of it::

    weight = value(window) * scale * 2**bias,    value(window) = (sum of the fields of its LFSR's output) - offset

This is a bitshift trellis as in QTIP (arXiv 2406.11235), with the LFSR in the place of its random code. The bits of a
row, least significant first, are::

    scale [16, FP16] | start [window - bits] | code of weight 0 [bits] | ... | code of the last weight [bits]

The window of weight 0 is thus its code above the start, and the stream begins behind the scale.

Nothing here computes: of this package, RTL may import this module and no other.
"""

from dataclasses import dataclass

from golden.spec import SCALE_BITS, TAPS, FormatError

__all__ = ["LFSR_BITS", "TRELLIS2", "TRELLIS3", "TRELLIS4", "TRELLIS_FORMATS", "TrellisFormat"]

LFSR_BITS = 16
"""Length of the LFSR that a window seeds; its taps are those of :data:`golden.spec.TAPS`."""
_OUTPUT = 96
"""Bits of the LFSR's output that fields may lie in."""


def _require(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is no integer of its range."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FormatError(f"trellis format: {name} must be an integer from {low} to {high}, not {value!r}")


@dataclass(frozen=True)
class TrellisFormat:
    """One trellis format.

    Parameters
    ----------
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

    bits: int
    window: int
    fields: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        _require("bits", self.bits, 1, 8)
        _require("window", self.window, self.bits + 3, LFSR_BITS)
        _require("the number of fields", len(self.fields), 1, 8)
        for low, width in self.fields:
            _require("a field's width", width, 1, 8)
            _require("a field's first bit", low, 0, _OUTPUT - width)

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

    def row_bits(self, columns: int) -> int:
        """Bits of a row of so many weights, its scale and its start among them."""
        return SCALE_BITS + self.start_bits + self.bits * columns


TRELLIS4 = TrellisFormat(bits=4, window=12, fields=((34, 4), (37, 4), (46, 4)))
"""4.006 bits a weight in rows of 4,096."""
TRELLIS3 = TrellisFormat(bits=3, window=12, fields=((33, 5), (38, 5), (43, 5)))
"""3.006 bits a weight in rows of 4,096."""
TRELLIS2 = TrellisFormat(bits=2, window=12, fields=((34, 4), (37, 4), (46, 4)))
"""2.006 bits a weight in rows of 4,096."""
TRELLIS_FORMATS: dict[str, TrellisFormat] = {"trellis4": TRELLIS4, "trellis3": TRELLIS3, "trellis2": TRELLIS2}
"""The named formats."""
