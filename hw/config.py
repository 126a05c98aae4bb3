"""The engine's one configuration object. Widths, lane counts and depths all follow from it."""

from dataclasses import dataclass

from amaranth.utils import ceil_log2

from golden.spec import ACT_BITS, EXP_BITS, FP16_FRACTION, SCALE_BITS, BlockFormat, GroupFormat
from hw.parts.axi import BURST_BYTES

__all__ = ["ConfigError", "EngineConfig"]

_FP16_BITS = 16
_FP16_SHIFT = 30 - 1
"""By how much an FP16 significand is shifted in units of the least subnormal, 2**-24."""
_FP16_PRODUCT_BITS = 22 + 2 * _FP16_SHIFT
"""Magnitude of an FP16 product in units of 2**-48: 11 x 11 bits and both shifts."""


class ConfigError(ValueError):
    """A configuration that cannot be built; the message names the value and the legal ones."""


@dataclass(frozen=True)
class EngineConfig:
    """What to build.

    Parameters
    ----------
    fmt : BlockFormat, GroupFormat or None
        Weight format of the datapath; None is the FP16 baseline.
    bus_bits : int
        Width of the memory bus, a power of two from 32 to 1024.
    addr_bits : int
        Width of a byte address, 13 to 32.
    max_rows, max_cols : int
        Largest matrix, powers of two. Columns size the activation buffer and the accumulators.
    latency : int
        Cycles from a read request to its first beat that reads under way are to cover.
    write_beats : int
        Beats of results gathered into one write burst.
    act_bits : int
        Width of a block-floating-point activation, 16 or 8.
    multiplier_bits : int
        Signed width of the wider operand of the device's multipliers: 25 for a DSP48E1, 18 for a MULT18X18D.
    narrow_products : str
        What multiplies coefficients: "dsp" or "lut".
    fast : bool
        Whether flip-flops are spent on the clock: each lane then has activation registers of its own and each block RAM
        an address register, which spares the wires that cross the device from one set, and pipelines are longer.

    Raises
    ------
    ConfigError
    """

    fmt: BlockFormat | GroupFormat | None
    bus_bits: int = 512
    addr_bits: int = 32
    max_rows: int = 1 << 17
    max_cols: int = 1 << 16
    latency: int = 256
    write_beats: int = 64
    act_bits: int = ACT_BITS
    multiplier_bits: int = 25
    narrow_products: str = "lut"
    fast: bool = False

    def __post_init__(self):
        for name, low, high in (("bus_bits", 32, 1024), ("max_rows", 1, 1 << 24), ("max_cols", 64, 1 << 16),
                                ("latency", 16, 1024), ("write_beats", 1, 128)):
            value = getattr(self, name)
            if not low <= value <= high or value & (value - 1):
                raise ConfigError(f"engine: {name} must be a power of two from {low} to {high}, not {value}")
        for name, legal in (("act_bits", (16, 8)), ("multiplier_bits", (25, 18)), ("narrow_products", ("lut", "dsp"))):
            if getattr(self, name) not in legal:
                raise ConfigError(f"engine: {name} must be {' or '.join(map(str, legal))}, not {getattr(self, name)}")
        if not 13 <= self.addr_bits <= 32:
            raise ConfigError(f"engine: addr_bits must be from 13 to 32, not {self.addr_bits}")

    @property
    def name(self) -> str:
        """``fp16`` or the name of the format."""
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
        """Beats of the longest read burst. Longer ones than this would win nothing, and make writes wait."""
        return min(64, BURST_BYTES // self.bus_bytes)

    @property
    def outstanding(self) -> int:
        """Read bursts under way at once, a power of two: those whose beats cover the latency at a beat a cycle, the one
        that is coming in, and one for the short bursts at the ends of regions."""
        return 1 << ceil_log2(-(-self.latency // self.burst_beats) + 2)

    @property
    def beat_activations(self) -> int:
        """FP16 activations in a beat."""
        return self.bus_bits // _FP16_BITS

    @property
    def group_blocks(self) -> int:
        """Blocks that share a scale; 1 where there are no groups."""
        return SCALE_BITS if isinstance(self.fmt, GroupFormat) else 1

    def blocks(self, cols: int) -> int:
        """Block columns of a matrix of ``cols`` columns, padded to whole groups."""
        return -(-cols // (self.group_blocks * self.c)) * self.group_blocks

    @property
    def max_blocks(self) -> int:
        """Block columns of the widest matrix."""
        return self.blocks(self.max_cols)

    @property
    def max_activation_beats(self) -> int:
        """Beats of the longest activation vector, padded with zeros to whole blocks."""
        return -(-self.max_blocks * self.c // self.beat_activations)

    @property
    def max_beats(self) -> int:
        """Beats of the largest weight image."""
        return -(-self.max_rows // self.lanes) * -(-self.max_blocks * self.word_bits // self.bus_bits)

    @property
    def _weight_bound(self) -> int:
        """Greatest magnitude of the integer that a weight is a multiple of; LFSR states are never 0."""
        fmt = self.fmt
        return -fmt.code_min if isinstance(fmt, GroupFormat) else fmt.p * -fmt.coef_min * (fmt.offset - 1)

    @property
    def numerator_bits(self) -> int:
        """Signed width of the integer that a weight is a multiple of."""
        return self._weight_bound.bit_length() + 1

    @property
    def dot_bits(self) -> int:
        """Signed width of one block's integer dot product, before the exponent's shift."""
        return (self.c * ((1 << (self.act_bits - 1)) - 1) * self._weight_bound).bit_length() + 1

    @property
    def group_bits(self) -> int:
        """Signed width of the integer dot product of a group."""
        return self.dot_bits + ceil_log2(self.group_blocks)

    @property
    def value_bits(self) -> int:
        """Signed width of what is added to an accumulator at once."""
        if self.fmt is None:
            return _FP16_PRODUCT_BITS + 1
        if isinstance(self.fmt, GroupFormat):
            return self.group_bits + FP16_FRACTION + 1 + _FP16_SHIFT
        return self.dot_bits + (1 << EXP_BITS) - 1

    @property
    def sum_bits(self) -> int:
        """Signed width of an accumulator: exact for every legal input of ``max_cols`` columns."""
        return self.value_bits + ceil_log2(self.max_blocks // self.group_blocks)
