"""The baseline, fp16, which keeps each weight as it is."""

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["FP16", "HalfFormat"]


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
    head_blocks: ClassVar[int] = 0
    """Blocks of a row, before all others, that hold no weights: none."""
    head_fields: ClassVar[dict[str, tuple[int, int]]] = {}
    """Fields of such a block: none."""
    divisor: ClassVar[int] = 1
    """What row sums are divided by, beside powers of two."""
    block_floating: ClassVar[bool] = False
    """Activations are no integers, but FP16 numbers as they come."""


FP16 = HalfFormat()
"""16 bits a weight: the baseline."""
