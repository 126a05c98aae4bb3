"""The engine's one configuration object, from which all widths, depths and numbers of lanes follow."""

from dataclasses import dataclass

from amaranth.utils import ceil_log2

from golden.layout import StreamLayout
from golden.spec import ACT_BITS, ROTATION_BLOCK, ROTATION_GROWTH, HalfFormat
from hw.parts.axi import BURST_BYTES
from hw.pipelining import LEAN, Pipelining

__all__ = ["ConfigError", "EngineConfig"]

_RESULT_BITS = 32
"""Bits of a result, a float32."""
_FP16_SHIFT = 30 - 1
"""Places by which the significand of the largest FP16 number is shifted up in units of the least subnormal, 2**-24."""
_FP16_PRODUCT_BITS = 22 + 2 * _FP16_SHIFT
"""Bits of the magnitude of an FP16 product in units of 2**-48: 11 x 11 bits, shifted up for both factors."""


class ConfigError(ValueError):
    """The configuration cannot be built. The message names the value and the legal ones."""


@dataclass(frozen=True)
class EngineConfig(StreamLayout):
    """What to build.

    Parameters
    ----------
    fmt : WeightFormat
        Format of the weights, which decides what kind of lanes the engine has.
    bus_bits : int
        Width of the memory bus in bits, a power of two from 32 to 1024.
    addr_bits : int
        Width of a byte address in bits, 13 to 64.
    max_rows, max_cols : int
        Rows and columns of the largest matrix, powers of two up to 2**24 and from 64 to 2**16. The activation store and
        the accumulators are as large as the columns require.
    latency : int
        Cycles from a read request to its first beat, a power of two from 16 to 1024. Enough reads are outstanding to
        keep the bus busy for as long.
    write_beats : int
        Beats of results gathered into one write burst, a power of two up to 128.
    act_bits : int
        Width of a block-floating-point activation in bits, 16 or 8.
    rotation : bool
        Whether the engine can rotate the inputs of matrices whose descriptors ask for it. It takes activations that are
        integers, and blocks of which 64 weights are a whole number.
    multiplier_bits : int
        Signed width of the wider operand of the device's multipliers, in bits: 25 for a DSP48E1 of Xilinx 7-series
        (UG479), 18 for a MULT18X18D of ECP5 (FPGA-DS-02012).
    narrow_products : str
        What multiplies window bits by coefficients in a SeedLM lane: "dsp" for multipliers of the device, "lut" for
        lookup tables.
    results_per_cycle : int
        Sums of rows that pass from the lanes to memory in one cycle: 1, 2 or 4, but at most as many as there are lanes
        and as a beat holds results. With 1, a group of rows waits until the one before it has left the lanes; with
        more, groups may follow each other as fast as their sums pass, which short rows need.
    pipelining : Pipelining
        How deep the stages are: :data:`~hw.pipelining.LEAN`, :data:`~hw.pipelining.FAST` or something else.
    cache, prot, qos : int
        What AxCACHE, AxPROT and AxQOS carry (ARM IHI 0022, sections A4.4, A4.7 and A8.1): 4, 3 and 4 bits. The defaults
        are normal non-cacheable bufferable memory, an unprivileged secure data access, and no priority.

    Raises
    ------
    ConfigError
        When a parameter is out of its range.
    """

    addr_bits: int = 32
    max_rows: int = 1 << 17
    max_cols: int = 1 << 16
    latency: int = 256
    write_beats: int = 64
    act_bits: int = ACT_BITS
    rotation: bool = False
    multiplier_bits: int = 25
    narrow_products: str = "lut"
    results_per_cycle: int = 1
    pipelining: Pipelining = LEAN
    cache: int = 0b0011
    prot: int = 0b000
    qos: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("bus_bits", 32, 1024), ("max_rows", 1, 1 << 24), ("max_cols", 64, 1 << 16),
                                ("latency", 16, 1024), ("write_beats", 1, 128)):
            value = getattr(self, name)
            if not low <= value <= high or value & (value - 1):
                raise ConfigError(f"engine: {name} must be a power of two from {low} to {high}, not {value}")
        for name, legal in (("act_bits", (16, 8)), ("multiplier_bits", (25, 18)), ("narrow_products", ("lut", "dsp"))):
            if getattr(self, name) not in legal:
                raise ConfigError(f"engine: {name} must be {' or '.join(map(str, legal))}, not {getattr(self, name)}")
        for name, low, high in (("addr_bits", 13, 64), ("cache", 0, 15), ("prot", 0, 7), ("qos", 0, 15)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"engine: {name} must be from {low} to {high}, not {getattr(self, name)}")
        if self.rotation and (not self.fmt.block_floating or ROTATION_BLOCK % self.c):
            raise ConfigError(f"engine: rotation takes blocks of 1, 2, 4, 8, 16, 32 or 64 weights and activations that "
                              f"are integers, not those of {self.name}: leave rotation out")
        possible = tuple(n for n in (1, 2, 4) if n <= min(self.lanes, self.beat_results))
        if self.results_per_cycle not in possible:
            raise ConfigError(f"engine: results_per_cycle must be {' or '.join(map(str, possible))}, not "
                              f"{self.results_per_cycle}, where lanes are {self.lanes} and results of a beat "
                              f"{self.beat_results}")

    @property
    def name(self) -> str:
        """Name of the format."""
        return self.fmt.name

    @property
    def burst_beats(self) -> int:
        """Beats of the longest read burst. Longer bursts would win nothing, and writes would wait longer."""
        return min(64, BURST_BYTES // self.bus_bytes)

    @property
    def outstanding(self) -> int:
        """Read bursts that may be outstanding at once, a power of two: those whose beats cover the latency at a beat a
        cycle, the one whose beats are being received, and one for the short bursts at the ends of regions."""
        return 1 << ceil_log2(-(-self.latency // self.burst_beats) + 2)

    @property
    def settle_cycles(self) -> int:
        """Cycles of silence after which the bus is taken to be quiet where nobody knows what is outstanding on it. They
        leave memory twice the time that an answer usually takes."""
        return 2 * self.latency

    @property
    def beat_activations(self) -> int:
        """Number of FP16 activations in a beat."""
        return self.bus_bits // HalfFormat.block_bits

    @property
    def element_bits(self) -> int:
        """Signed width of an activation that is an integer, as lanes take it."""
        return self.act_bits + (ROTATION_GROWTH if self.rotation else 0)

    @property
    def beat_results(self) -> int:
        """Number of float32 results in a beat."""
        return self.bus_bits // _RESULT_BITS

    @property
    def drain_cycles(self) -> int:
        """Cycles in which the sums of a group of rows pass the drain."""
        return self.lanes // self.results_per_cycle

    @property
    def max_weight_blocks(self) -> int:
        """Number of block columns of the widest matrix that hold weights, and so of words of its vector."""
        return self.weight_blocks(self.max_cols)

    @property
    def max_blocks(self) -> int:
        """Number of all block columns of the widest matrix."""
        return self.blocks(self.max_cols)

    @property
    def max_activation_beats(self) -> int:
        """Beats of the longest activation vector, padded with zeros to whole blocks."""
        return -(-self.max_weight_blocks * self.c // self.beat_activations)

    @property
    def max_beats(self) -> int:
        """Beats of the largest weight image."""
        return -(-self.max_rows // self.lanes) * -(-self.max_blocks * self.word_bits // self.bus_bits)

    @property
    def _numerator_max(self) -> int:
        """Greatest magnitude of a weight's numerator."""
        if isinstance(self.fmt, HalfFormat):
            raise ConfigError(f"engine: weights of {self.name} have no numerators; those of other formats have")
        return self.fmt.numerator_max

    @property
    def numerator_bits(self) -> int:
        """Signed width of a weight's numerator, the integer that is multiplied by its block's or group's scale.

        Raises
        ------
        ConfigError
            When the weights are floating-point numbers.
        """
        return self._numerator_max.bit_length() + 1

    @property
    def dot_bits(self) -> int:
        """Signed width of one block's integer dot product, before the exponent's shift. It raises the error of
        :attr:`numerator_bits`."""
        greatest = ((1 << (self.act_bits - 1)) - 1) << (self.element_bits - self.act_bits)
        return (self.c * greatest * self._numerator_max).bit_length() + 1

    @property
    def group_bits(self) -> int:
        """Signed width of the integer dot product of the blocks that share a scale, of which there are fewer than
        ``2 * group_blocks``. It raises the error of :attr:`numerator_bits`."""
        return self.dot_bits + ceil_log2(min(2 * self.fmt.group_blocks - 1, self.max_weight_blocks))

    @property
    def value_bits(self) -> int:
        """Signed width of what is added to an accumulator at once."""
        if isinstance(self.fmt, HalfFormat):
            return _FP16_PRODUCT_BITS + 1
        return self.group_bits + self.fmt.dot_shift

    @property
    def sum_bits(self) -> int:
        """Signed width of an accumulator: exact for every legal input of ``max_cols`` columns."""
        # No more blocks are added up than hold weights, those that share a scale before those that do not.
        one = _FP16_PRODUCT_BITS + 1 if isinstance(self.fmt, HalfFormat) else self.dot_bits + self.fmt.dot_shift
        return one + ceil_log2(self.max_weight_blocks)
