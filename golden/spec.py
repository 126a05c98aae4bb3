"""The weight formats: every constant that golden, the hardware and the host share.

A SeedLM block is ``c`` consecutive weights of one matrix row, stored as one LFSR seed, one shared exponent and ``p``
small coefficients (SeedLM, arXiv 2410.10714, section 3)::

    weights = U(seed) @ q * 2**(e + bias),    U(seed) = (V(seed) - 2**(k-1)) / (2**(k-1) - 1)

Its bits, least significant first, are::

    seed [k] | exponent [4, two's complement] | q[0] [coef_bits, two's complement] | ... | q[p-1]

The seed is the LFSR register itself, so hardware loads the field without decoding it.

The controls beside it, int8, int4 and int3, round to nearest: 16 blocks of a row make a group, with one FP16 scale,
and a block is ``c`` consecutive weights as two's complement codes and one bit of its group's scale::

    weights = w * scale

    w[0] [bits, two's complement] | ... | w[c-1] | bit n of the scale, in block n of the group

The last group of a row takes what is left of the row, so that it has 16 to 31 blocks; the last bit of its blocks from
16 on is 0 and means nothing. A row of fewer than 16 blocks is padded to 16 with weights of 0. The scale is finite, and
may be negative: the codes reach farther down than up by one, and the sign decides which side of 0 that serves. The
baseline, fp16, keeps each weight as it is.

Nothing here computes: of golden, RTL may import this module and :mod:`golden.layout`, and no other.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

__all__ = ["ACT_BITS", "EXP_BITS", "EXP_MAX", "EXP_MIN", "FORMATS", "FP16", "FP16_EXP_BIAS", "FP16_FRACTION", "INT3",
           "INT4", "INT8", "SCALE_BITS", "SEEDLM3", "SEEDLM4", "SEEDLM4X", "TAPS", "BlockFormat", "FormatError",
           "GroupFormat", "HalfFormat", "WeightFormat", "parse_format", "parse_seedlm"]

TAPS = {
    2: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 2), 6: (0, 1), 7: (0, 1), 8: (0, 2, 3, 4), 9: (0, 4), 10: (0, 3),
    11: (0, 2), 12: (0, 1, 2, 8), 13: (0, 1, 2, 5), 14: (0, 1, 2, 12), 15: (0, 1), 16: (0, 1, 3, 12), 17: (0, 3),
    18: (0, 7), 19: (0, 1, 2, 5), 20: (0, 3), 21: (0, 2), 22: (0, 1), 23: (0, 5), 24: (0, 1, 2, 7),
}
"""Feedback taps by LFSR length, as bit positions of the register (paper, table 6); each gives the full period
2**k - 1."""

EXP_BITS = 4
"""Width of the shared exponent, two's complement (section 3.2 of the paper)."""
EXP_MIN, EXP_MAX = -(1 << (EXP_BITS - 1)), (1 << (EXP_BITS - 1)) - 1

ACT_BITS = 16
"""Width of one block-floating-point activation, two's complement."""

FP16_FRACTION, FP16_EXP_BIAS = 10, 15
"""IEEE 754 binary16: fraction bits and exponent bias."""

SCALE_BITS = 16
"""Bits of a group's FP16 scale, and so the least number of blocks of a group."""


class FormatError(ValueError):
    """A format that does not exist; the message names the offending value and the legal ones."""


def _require(what: str, fmt: object, *ranges: tuple[str, int, int]) -> None:
    """Refuse a format with a field that is no integer of its range, ``(name, least, greatest)``."""
    for name, low, high in ranges:
        value = getattr(fmt, name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise FormatError(f"{what}: {name} must be an integer from {low} to {high}, not {value!r}")


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

    Raises
    ------
    FormatError
        When a parameter is out of its range.
    """

    c: int
    p: int
    k: int
    coef_bits: int = 4

    group_blocks: ClassVar[int] = 1
    """Blocks that share a scale: each has an exponent of its own."""
    block_floating: ClassVar[bool] = True
    """Activations are integers under one exponent for the whole vector."""

    def __post_init__(self) -> None:
        _require("block format", self, ("c", 1, 256), ("p", 1, 8), ("k", min(TAPS), max(TAPS)), ("coef_bits", 2, 4))

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
        return self.k + EXP_BITS + self.p * self.coef_bits

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for one weight, before any padding of rows and columns."""
        return self.block_bits / self.c

    @cached_property
    def fields(self) -> dict[str, tuple[int, int]]:
        """``{name: (lowest bit, width)}`` of every field: ``seed``, ``exponent``, ``q0`` .. ``q{p-1}``."""
        table = {"seed": (0, self.k), "exponent": (self.k, EXP_BITS)}
        for i in range(self.p):
            table[f"q{i}"] = (self.k + EXP_BITS + i * self.coef_bits, self.coef_bits)
        return table

    @property
    def name(self) -> str:
        """``seedlm4``, ``seedlm3``, ``seedlm4x``, or ``c,p,k[,coef_bits]`` for any other."""
        for name, fmt in FORMATS.items():
            if fmt == self:
                return name
        return f"{self.c},{self.p},{self.k}" + ("" if self.coef_bits == 4 else f",{self.coef_bits}")


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
    block_floating: ClassVar[bool] = True
    """Activations are integers under one exponent for the whole vector."""

    def __post_init__(self) -> None:
        _require("group format", self, ("c", 1, 256), ("bits", 2, 8))

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
        return f"int{self.bits}" if self in FORMATS.values() else f"int{self.bits},{self.c}"


@dataclass(frozen=True)
class HalfFormat:
    """Weights as they are, IEEE 754 binary16: a block is one weight, and activations are binary16 too."""

    name: ClassVar[str] = "fp16"
    c: ClassVar[int] = 1
    """Weights in a block."""
    block_bits: ClassVar[int] = 16
    """Bits of one stored block."""
    bits_per_weight: ClassVar[float] = 16.0
    """Stored bits for one weight."""
    group_blocks: ClassVar[int] = 1
    """Blocks that share a scale: there are no scales."""
    block_floating: ClassVar[bool] = False
    """Activations are no integers, but FP16 numbers as they come."""


WeightFormat = BlockFormat | GroupFormat | HalfFormat
"""Any format of weights."""

SEEDLM4 = BlockFormat(c=8, p=3, k=16)
"""4 bits a weight (paper, table 1)."""
SEEDLM3 = BlockFormat(c=12, p=4, k=16)
"""3 bits a weight (paper, table 1)."""
SEEDLM4X = BlockFormat(c=10, p=5, k=16)
"""4 bits a weight as SEEDLM4, at a lower error and for more logic: five coefficients of ten weights share an exponent
and a seed. It is not among the paper's formats; ``seedlm-fpga explore`` finds it."""
INT8 = GroupFormat(c=8, bits=8)
"""8.125 bits a weight: groups of 128."""
INT4 = GroupFormat(c=8, bits=4)
"""4.125 bits a weight: groups of 128."""
INT3 = GroupFormat(c=8, bits=3)
"""3.125 bits a weight: groups of 128."""
FP16 = HalfFormat()
"""16 bits a weight: the baseline."""
FORMATS: dict[str, WeightFormat] = {"fp16": FP16, "int8": INT8, "int4": INT4, "int3": INT3, "seedlm4": SEEDLM4,
                                    "seedlm3": SEEDLM3, "seedlm4x": SEEDLM4X}
"""The named formats."""


def parse_format(text: str) -> WeightFormat:
    """The format called ``text``: a name of :data:`FORMATS`, or ``C,P,K`` or ``C,P,K,coef_bits`` for SeedLM's.

    Raises
    ------
    FormatError
        When ``text`` is neither.
    """
    if text in FORMATS:
        return FORMATS[text]
    parts = text.split(",")
    if len(parts) not in (3, 4) or not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", part) for part in parts):
        raise FormatError(f"unknown format {text!r}: use {', '.join(FORMATS)}, or C,P,K such as 8,3,16")
    return BlockFormat(*(int(part) for part in parts))


def parse_seedlm(text: str) -> BlockFormat:
    """As :func:`parse_format`, for what only SeedLM's formats can do.

    Raises
    ------
    FormatError
        When ``text`` is no format, or another one.
    """
    fmt = parse_format(text)
    if not isinstance(fmt, BlockFormat):
        raise FormatError(f"{text} is not a SeedLM format: use seedlm4, seedlm3, seedlm4x, or C,P,K such as 8,3,16")
    return fmt
