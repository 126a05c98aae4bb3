"""How weights of a format lie in memory for a bus of a given width: the numbers that packing, hardware and host share.

A beat is what the bus carries at once. A word is the same block column of as many rows as there are lanes; words follow
each other without padding, first all columns of one group of rows, then those of the next. Where rows have scales of
their own, the first word of a group of rows holds the heads of these rows.
"""

from dataclasses import dataclass

from golden.spec import WeightFormat

__all__ = ["StreamLayout"]


@dataclass(frozen=True)
class StreamLayout:
    """The stream of a weight matrix.

    Parameters
    ----------
    fmt : WeightFormat
    bus_bits : int
        Width of the memory bus, a power of two. The default is that of files.
    """

    fmt: WeightFormat
    bus_bits: int = 512

    @property
    def c(self) -> int:
        """Weights of a block, and so activations of a word."""
        return self.fmt.c

    @property
    def block_bits(self) -> int:
        """Bits of one stored block."""
        return self.fmt.block_bits

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat."""
        return self.bus_bits // 8

    @property
    def lanes(self) -> int:
        """Rows of a group, which are computed side by side: a power of two, and as many blocks as a beat can hold or
        more, so that the datapath keeps up with the bus."""
        return 1 << (-(-self.bus_bits // self.block_bits) - 1).bit_length()

    @property
    def word_bits(self) -> int:
        """Bits of one word: the same block column of ``lanes`` rows."""
        return self.lanes * self.block_bits

    def weight_blocks(self, cols: int) -> int:
        """Block columns that hold the weights of ``cols`` columns, and so words that the vector is read in: whole
        blocks, and at least as many as share a scale."""
        return max(-(-cols // self.c), self.fmt.group_blocks)

    def blocks(self, cols: int) -> int:
        """All block columns of a matrix of ``cols`` columns, heads among them."""
        return self.fmt.head_blocks + self.weight_blocks(cols)

    @property
    def least_blocks(self) -> int:
        """Block columns of the narrowest matrix."""
        return self.blocks(1)
