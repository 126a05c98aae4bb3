"""The controls beside SeedLM: weights rounded to codes of a few bits, and a scale for each group of them.

In int8, int4 and int3, 16 blocks of a row make a group, with one FP16 scale, and a block is ``c`` consecutive weights
as two's complement codes and one bit of its group's scale::

    weights = w * scale

    w[0] [bits, two's complement] | ... | w[c-1] | bit n of the scale, in block n of the group

The last group of a row takes what is left of the row, so that it has 16 to 31 blocks; the last bit of its blocks from
16 on is 0 and means nothing. A row of fewer than 16 blocks is padded to 16 with weights of 0. The scale is finite, and
may be negative: the codes reach farther down than up by one, and the sign decides which side of 0 that serves.
"""

from dataclasses import dataclass
from typing import ClassVar

from golden.formats.base import SCALE_BITS, SCALE_SHIFT, require

__all__ = ["INT3", "INT4", "INT8", "INTEGER_FORMATS", "GroupFormat"]


@dataclass(frozen=True)
class GroupFormat:
    """Codes of equal width, rounded to nearest, and an FP16 scale for every group of ``16 * c`` weights of a row.

    The last group of a row has up to 31 blocks in place of 16.

    Parameters
    ----------
    c : int
        Weights in a block, 1 to 256.
    bits : int
        Width of a code, 2 to 8.

    Raises
    ------
    FormatError
        When a parameter is out of its range.
    """

    c: int
    bits: int

    group_blocks: ClassVar[int] = SCALE_BITS
    """Blocks that share a scale, and so the least number of blocks of a row."""
    divisor: ClassVar[int] = 1
    """What row sums are divided by, beside powers of two."""
    block_floating: ClassVar[bool] = True
    """Activations are integers under one exponent for the whole vector."""

    head_blocks: ClassVar[int] = 0
    """Blocks of a row, before all others, that hold no weights: none."""
    head_fields: ClassVar[dict[str, tuple[int, int]]] = {}
    """Fields of such a block: none."""
    dot_shift: ClassVar[int] = SCALE_SHIFT
    """Bits by which a group's dot product grows before it is added to its row's sum: with the largest scale."""

    def __post_init__(self) -> None:
        require("group format", "c", self.c, 1, 256)
        require("group format", "bits", self.bits, 2, 8)

    @property
    def numerator_max(self) -> int:
        """Greatest magnitude of a code."""
        return -self.code_min

    @property
    def group(self) -> int:
        """Weights that share a scale, in every group of a row but the last."""
        return SCALE_BITS * self.c

    def groups(self, cols: int) -> int:
        """Groups of a row of ``cols`` columns."""
        return max(-(-cols // self.c) // SCALE_BITS, 1)

    @property
    def code_min(self) -> int:
        """Least code."""
        return -(1 << (self.bits - 1))

    @property
    def code_max(self) -> int:
        """Greatest code."""
        return (1 << (self.bits - 1)) - 1

    @property
    def block_bits(self) -> int:
        """Bits of one stored block."""
        return self.c * self.bits + 1

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for one weight, before any padding of rows and columns."""
        return self.block_bits / self.c

    @property
    def name(self) -> str:
        """``int8``, ``int4``, ``int3``, or ``int{bits},{c}`` for any other."""
        return f"int{self.bits}" if self in INTEGER_FORMATS.values() else f"int{self.bits},{self.c}"


INT8 = GroupFormat(c=8, bits=8)
"""8.125 bits a weight: groups of 128."""
INT4 = GroupFormat(c=8, bits=4)
"""4.125 bits a weight: groups of 128."""
INT3 = GroupFormat(c=8, bits=3)
"""3.125 bits a weight: groups of 128."""
INTEGER_FORMATS = {"int8": INT8, "int4": INT4, "int3": INT3}
"""The named formats."""
