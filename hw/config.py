"""The engine's one configuration object. Widths, lane counts and depths all follow from it."""

from dataclasses import dataclass

from amaranth.utils import ceil_log2

from golden.layout import StreamLayout
from golden.spec import ACT_BITS, EXP_BITS, FP16_FRACTION, GroupFormat, HalfFormat
from hw.parts.axi import BURST_BYTES
from hw.pipelining import LEAN, Pipelining

__all__ = ["ConfigError", "EngineConfig"]

_FP16_SHIFT = 30 - 1
"""By how much an FP16 significand is shifted in units of the least subnormal, 2**-24."""
_FP16_PRODUCT_BITS = 22 + 2 * _FP16_SHIFT
"""Magnitude of an FP16 product in units of 2**-48: 11 x 11 bits and both shifts."""


class ConfigError(ValueError):
    """A configuration that cannot be built; the message names the value and the legal ones."""


@dataclass(frozen=True)
class EngineConfig(StreamLayout):
    """What to build.

    Parameters
    ----------
    fmt : WeightFormat
        Format of the weights, which decides what the lanes are.
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
    pipelining : Pipelining
        How deep the stages are: :data:`~hw.pipelining.LEAN`, :data:`~hw.pipelining.FAST` or something else.

    Raises
    ------
    ConfigError
    """

    addr_bits: int = 32
    max_rows: int = 1 << 17
    max_cols: int = 1 << 16
    latency: int = 256
    write_beats: int = 64
    act_bits: int = ACT_BITS
    multiplier_bits: int = 25
    narrow_products: str = "lut"
    pipelining: Pipelining = LEAN

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
        """Name of the format."""
        return self.fmt.name

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
        return self.bus_bits // HalfFormat.block_bits

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
        return self.dot_bits + ceil_log2(self.fmt.group_blocks)

    @property
    def value_bits(self) -> int:
        """Signed width of what is added to an accumulator at once."""
        if isinstance(self.fmt, HalfFormat):
            return _FP16_PRODUCT_BITS + 1
        if isinstance(self.fmt, GroupFormat):
            return self.group_bits + FP16_FRACTION + 1 + _FP16_SHIFT
        return self.dot_bits + (1 << EXP_BITS) - 1

    @property
    def sum_bits(self) -> int:
        """Signed width of an accumulator: exact for every legal input of ``max_cols`` columns."""
        return self.value_bits + ceil_log2(self.max_blocks // self.fmt.group_blocks)
