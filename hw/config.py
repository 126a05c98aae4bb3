"""The engine's one configuration object. Widths, lane counts and depths all follow from it."""

from dataclasses import dataclass

from amaranth.hdl import signed
from amaranth.lib import data
from amaranth.utils import ceil_log2

from golden.spec import ACT_BITS, EXP_BITS, BlockFormat
from hw.axi import BURST_BEATS, BURST_BYTES

__all__ = ["ConfigError", "EngineConfig"]

_FP16_BITS = 16
_FP16_PRODUCT_BITS = 22 + 58
"""Magnitude of an FP16 product in units of 2**-48: 11 x 11 bits, shifted by up to 2 * (30 - 1)."""


class ConfigError(ValueError):
    """A configuration that cannot be built; the message names the value and the legal ones."""


@dataclass(frozen=True)
class EngineConfig:
    """What to build.

    Parameters
    ----------
    fmt : BlockFormat or None
        Weight format of the datapath; None is the FP16 baseline.
    bus_bits : int
        Width of the memory bus, a power of two from 32 to 1024.
    addr_bits : int
        Width of a byte address, 13 to 32.
    max_rows, max_cols : int
        Largest matrix, powers of two. Columns size the activation buffer and the accumulators.
    outstanding : int
        Read bursts under way at once.
    write_beats : int
        Beats of results gathered into one write burst.

    Raises
    ------
    ConfigError
    """

    fmt: BlockFormat | None
    bus_bits: int = 512
    addr_bits: int = 32
    max_rows: int = 1 << 17
    max_cols: int = 1 << 16
    outstanding: int = 16
    write_beats: int = 8

    def __post_init__(self):
        for name, low, high in (("bus_bits", 32, 1024), ("max_rows", 1, 1 << 24), ("max_cols", 64, 1 << 16),
                                ("outstanding", 1, 64), ("write_beats", 1, 256)):
            value = getattr(self, name)
            if not low <= value <= high or value & (value - 1):
                raise ConfigError(f"engine: {name} must be a power of two from {low} to {high}, not {value}")
        if not 13 <= self.addr_bits <= 32:
            raise ConfigError(f"engine: addr_bits must be from 13 to 32, not {self.addr_bits}")

    @property
    def name(self) -> str:
        """``fp16`` or the name of the block format."""
        return self.fmt.name if self.fmt else "fp16"

    @property
    def c(self) -> int:
        """Weights of a block, and so activations of a word; 1 for FP16."""
        return self.fmt.c if self.fmt else 1

    @property
    def block_bits(self) -> int:
        """Bits of one stored block; one weight for FP16."""
        return self.fmt.block_bits if self.fmt else _FP16_BITS

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat."""
        return self.bus_bits // 8

    @property
    def lanes(self) -> int:
        """Rows computed side by side: a power of two, and as many blocks as a beat can hold or more, so that the
        datapath keeps up with the bus."""
        return 1 << ceil_log2(-(-self.bus_bits // self.block_bits))

    @property
    def word_bits(self) -> int:
        """Bits of one datapath word: the same block column of ``lanes`` rows."""
        return self.lanes * self.block_bits

    @property
    def burst_beats(self) -> int:
        """Beats of the longest read burst."""
        return min(BURST_BEATS, BURST_BYTES // self.bus_bytes)

    @property
    def beat_activations(self) -> int:
        """FP16 activations in a beat."""
        return self.bus_bits // _FP16_BITS

    @property
    def max_blocks(self) -> int:
        """Block columns of the widest matrix."""
        return -(-self.max_cols // self.c)

    @property
    def max_activation_beats(self) -> int:
        """Beats of the longest activation vector, padded with zeros to whole blocks."""
        return -(-self.max_blocks * self.c // self.beat_activations)

    @property
    def max_beats(self) -> int:
        """Beats of the largest weight image."""
        return -(-self.max_rows // self.lanes) * -(-self.max_blocks * self.word_bits // self.bus_bits)

    @property
    def dot_bits(self) -> int:
        """Signed width of one block's integer dot product, before the exponent's shift."""
        fmt = self.fmt
        bound = fmt.c * (1 << (ACT_BITS - 1)) * fmt.p * -fmt.coef_min * fmt.offset
        return bound.bit_length() + 1

    @property
    def value_bits(self) -> int:
        """Signed width of what is added to an accumulator in one cycle."""
        if self.fmt is None:
            return _FP16_PRODUCT_BITS + 1
        return self.dot_bits + (1 << EXP_BITS) - 1

    @property
    def sum_bits(self) -> int:
        """Signed width of an accumulator: exact for every legal input of ``max_cols`` columns."""
        return self.value_bits + ceil_log2(self.max_blocks)

    @property
    def activation_word(self) -> data.StructLayout:
        """What the lanes of one word share: ``x``, the activations; ``total``, their sum; and whether the word is the
        ``first`` or the ``last`` of its rows. FP16 has raw bits in ``x`` and no ``total``."""
        if self.fmt is None:
            return data.StructLayout({"x": data.ArrayLayout(_FP16_BITS, 1), "first": 1, "last": 1})
        return data.StructLayout({"x": data.ArrayLayout(signed(ACT_BITS), self.c),
                                  "total": signed(ACT_BITS + ceil_log2(self.c)), "first": 1, "last": 1})

    @property
    def lane_word(self) -> data.StructLayout:
        """Input of one lane: its ``block`` and the shared ``activations``."""
        return data.StructLayout({"block": self.block_bits, "activations": self.activation_word})
