"""SeedLM's formats: a block is the seed of an LFSR, coefficients, and an exponent or a share in its row's scale.

A SeedLM block is ``c`` consecutive weights of one matrix row, stored as one LFSR seed, one shared exponent and ``p``
small coefficients (SeedLM, arXiv 2410.10714, section 3)::

    weights = U(seed) @ q * 2**(e + bias),    U(seed) = (V(seed) - 2**(k-1)) / (2**(k-1) - 1)

Its bits, least significant first, are::

    seed [k] | exponent [4, two's complement] | q[0] [coef_bits, two's complement] | ... | q[p-1]

The seed is the LFSR register itself, so hardware loads the field without decoding it.

Without the exponent, which is no format of the paper, a row has a scale in its place, and the weights are::

    weights = (V(seed) - 2**(k-1)) @ q * scale * 2**bias

The scale absorbs the unit of U. It lies in the row's head, a block before the others: in its lowest bits, zeros above.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from golden.formats.base import EXP_BITS, HEAD_FIELDS, SCALE_BITS, TAPS, FormatError, require

__all__ = ["SEEDLM3", "SEEDLM3R", "SEEDLM4", "SEEDLM4R", "SEEDLM4X", "SEEDLM_FORMATS", "BlockFormat"]


@dataclass(frozen=True)
class BlockFormat:
    """One SeedLM block format.

    Parameters
    ----------
    c : int
        Weights in a block, 1 to 256.
    p : int
        Coefficients (columns of U) in a block, 1 to 8.
    k : int
        LFSR length, a key of :data:`TAPS`.
    coef_bits : int
        Width of a coefficient, 2 to 4.
    exp_bits : int
        Width of the exponent of a block: 4, or 0 where each row has a scale instead.

    Raises
    ------
    FormatError
        When a parameter is out of its range.
    """

    c: int
    p: int
    k: int
    coef_bits: int = 4
    exp_bits: int = EXP_BITS

    group_blocks: ClassVar[int] = 1
    """Blocks that share a scale: each has an exponent of its own."""
    block_floating: ClassVar[bool] = True
    """Activations are integers under one exponent for the whole vector."""

    def __post_init__(self) -> None:
        for name, low, high in (("c", 1, 256), ("p", 1, 8), ("k", min(TAPS), max(TAPS)), ("coef_bits", 2, 4)):
            require("block format", name, getattr(self, name), low, high)
        if self.exp_bits not in (0, EXP_BITS) or isinstance(self.exp_bits, bool):
            raise FormatError(f"block format: exp_bits must be 0 or {EXP_BITS}, not {self.exp_bits!r}")
        if self.head_blocks and self.block_bits < SCALE_BITS:
            raise FormatError(f"block format: a block of {self.block_bits} bits does not hold the scale of a row, "
                              f"{SCALE_BITS} bits")

    @property
    def head_blocks(self) -> int:
        """Blocks of a row, before all others, that hold no weights but its scale: 1 without exponents."""
        return int(not self.exp_bits)

    @property
    def head_fields(self) -> dict[str, tuple[int, int]]:
        """``{name: (lowest bit, width)}`` of the fields of the head of a row: ``scale``, where there is one."""
        return HEAD_FIELDS if self.head_blocks else {}

    @property
    def exp_min(self) -> int:
        """Least exponent of a block."""
        return -(1 << self.exp_bits >> 1)

    @property
    def exp_max(self) -> int:
        """Greatest exponent of a block."""
        return max((1 << self.exp_bits >> 1) - 1, 0)

    @property
    def numerator_max(self) -> int:
        """Greatest magnitude of a weight's numerator. LFSR states are never 0, so that the least centred state is
        ``1 - offset``."""
        return self.p * -self.coef_min * (self.offset - 1)

    @property
    def dot_shift(self) -> int:
        """Bits by which a block's dot product grows before it is added to its row's sum: with the greatest exponent."""
        return self.exp_max - self.exp_min

    @property
    def taps(self) -> tuple[int, ...]:
        """Feedback taps of the LFSR."""
        return TAPS[self.k]

    @property
    def seeds(self) -> int:
        """Number of seeds: every register state but zero."""
        return (1 << self.k) - 1

    @property
    def offset(self) -> int:
        """What is subtracted from an LFSR state to centre it."""
        return 1 << (self.k - 1)

    @property
    def unit(self) -> int:
        """The centred state that stands for 1.0 in U."""
        return (1 << (self.k - 1)) - 1

    @property
    def divisor(self) -> int:
        """What row sums are divided by, beside powers of two: the unit, unless scales absorb it."""
        return 1 if self.head_blocks else self.unit

    @property
    def coef_min(self) -> int:
        """Least coefficient."""
        return -(1 << (self.coef_bits - 1))

    @property
    def coef_max(self) -> int:
        """Greatest coefficient."""
        return (1 << (self.coef_bits - 1)) - 1

    @property
    def block_bits(self) -> int:
        """Bits of one stored block."""
        return self.k + self.exp_bits + self.p * self.coef_bits

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for one weight, before any padding of rows and columns."""
        return self.block_bits / self.c

    @cached_property
    def fields(self) -> dict[str, tuple[int, int]]:
        """``{name: (lowest bit, width)}`` of every field: ``seed``, ``exponent`` if there is one, ``q0`` ..
        ``q{p-1}``."""
        table = {"seed": (0, self.k)} | ({"exponent": (self.k, self.exp_bits)} if self.exp_bits else {})
        for i in range(self.p):
            table[f"q{i}"] = (self.k + self.exp_bits + i * self.coef_bits, self.coef_bits)
        return table

    @property
    def name(self) -> str:
        """That of :data:`SEEDLM_FORMATS`, or ``c,p,k[,coef_bits[,exp_bits]]`` for any other."""
        for name, fmt in SEEDLM_FORMATS.items():
            if fmt == self:
                return name
        numbers = (self.c, self.p, self.k, self.coef_bits, self.exp_bits)
        shown = 5 if self.exp_bits != EXP_BITS else 3 if self.coef_bits == 4 else 4
        return ",".join(map(str, numbers[:shown]))


SEEDLM4 = BlockFormat(c=8, p=3, k=16)
"""4 bits a weight (paper, table 1)."""
SEEDLM3 = BlockFormat(c=12, p=4, k=16)
"""3 bits a weight (paper, table 1)."""
SEEDLM4X = BlockFormat(c=10, p=5, k=16)
"""4 bits a weight as SEEDLM4, at a lower error and for more logic: five coefficients of ten weights share an exponent
and a seed. It is not among the paper's formats; ``seedlm-fpga explore`` finds it."""
SEEDLM4R = BlockFormat(c=8, p=4, k=16, exp_bits=0)
"""4 bits a weight, and a head for each row: a fourth coefficient in the place of the exponent. It is not among the
paper's formats."""
SEEDLM3R = BlockFormat(c=12, p=5, k=16, exp_bits=0)
"""3 bits a weight, and a head for each row: a fifth coefficient in the place of the exponent. It is not among the
paper's formats."""
SEEDLM_FORMATS = {"seedlm4": SEEDLM4, "seedlm3": SEEDLM3, "seedlm4x": SEEDLM4X, "seedlm4r": SEEDLM4R,
                  "seedlm3r": SEEDLM3R}
"""The named formats."""
