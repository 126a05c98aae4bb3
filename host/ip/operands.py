"""How operands lie in memory, in words: for people who make the weights' images with software of their own.

What is said here is what :mod:`host.packing.image` does.
"""

from dataclasses import dataclass

import numpy as np

from golden.product import factor
from golden.spec import BlockFormat, GroupFormat, WeightFormat
from hw.config import EngineConfig

__all__ = ["BlockField", "block_fields", "factor_exponent"]


@dataclass(frozen=True)
class BlockField:
    """A part of a block of weights: the number of its lowest bit, its width in bits, and what it holds."""

    lsb: int
    bits: int
    doc: str


def block_fields(fmt: WeightFormat) -> list[BlockField]:
    """Return the parts of a block, from bit 0 up."""
    if isinstance(fmt, BlockFormat):
        docs = {"seed": "state of the LFSR, from 1 up", "exponent": "exponent, two's complement"}
        return [BlockField(lsb, bits, docs.get(name) or f"coefficient {name[1:]}, two's complement")
                for name, (lsb, bits) in fmt.fields.items()]
    if isinstance(fmt, GroupFormat):
        codes = [BlockField(i * fmt.bits, fmt.bits, f"weight {i}, two's complement") for i in range(fmt.c)]
        return [*codes, BlockField(fmt.c * fmt.bits, 1, f"bit n of the group's scale in FP16, in block n of the "
                                   f"group; 0 in its blocks from {fmt.group_blocks} on")]
    return [BlockField(0, fmt.block_bits, "the weight in FP16")]


def factor_exponent(config: EngineConfig) -> int:
    """Return FACTOR_EXPONENT of a matrix whose exponents, where the format has some, have the bias 0."""
    return int(np.float32(factor(config.fmt, 0, config.act_bits)).view(np.uint32)) >> 23
