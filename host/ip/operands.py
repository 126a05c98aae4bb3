"""How operands lie in memory, in words: for people who make the weights' images with software of their own.

What is said here is what :mod:`host.packing.image` does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from golden.product import factor
from golden.spec import BlockFormat, GroupFormat, HalfFormat, TrellisFormat, WeightFormat
from hw.config import EngineConfig

__all__ = ["BlockField", "block_fields", "factor_exponent", "head_fields"]


@dataclass(frozen=True)
class BlockField:
    """A part of a block of weights: the number of its lowest bit, its width in bits, and what it holds."""

    lsb: int
    bits: int
    doc: str


def _seedlm_fields(fmt: BlockFormat) -> list[BlockField]:
    docs = {"seed": "state of the LFSR, from 1 up", "exponent": "exponent, two's complement"}
    return [BlockField(lsb, bits, docs.get(name) or f"coefficient {name[1:]}, two's complement")
            for name, (lsb, bits) in fmt.fields.items()]


def _group_fields(fmt: GroupFormat) -> list[BlockField]:
    codes = [BlockField(i * fmt.bits, fmt.bits, f"weight {i}, two's complement") for i in range(fmt.c)]
    return [*codes, BlockField(fmt.c * fmt.bits, 1, f"bit n of the group's scale in FP16, in block n of the group; 0 "
                               f"in its blocks from {fmt.group_blocks} on")]


def _trellis_fields(fmt: TrellisFormat) -> list[BlockField]:
    return [BlockField(i * fmt.bits, fmt.bits, f"code of weight {i}") for i in range(fmt.c)]


def _half_fields(fmt: HalfFormat) -> list[BlockField]:
    return [BlockField(0, fmt.block_bits, "the weight in FP16")]


_BLOCK_FIELDS: dict[type, Callable[[Any], list[BlockField]]] = {
    BlockFormat: _seedlm_fields, GroupFormat: _group_fields, TrellisFormat: _trellis_fields, HalfFormat: _half_fields}
"""The parts of a block of weights, by family of formats."""
_HEAD_DOCS = {"scale": "scale of the row in FP16, zero or normal",
              "start": "the bits of the row's stream before the code of weight 0"}
"""What the fields of a head hold, by name."""


def block_fields(fmt: WeightFormat) -> list[BlockField]:
    """Return the parts of a block that holds weights, from bit 0 up."""
    return _BLOCK_FIELDS[type(fmt)](fmt)


def head_fields(fmt: WeightFormat) -> list[BlockField]:
    """Return the parts of the head of a row, from bit 0 up; the bits above them are 0. Rows without heads have none."""
    return [BlockField(lsb, bits, _HEAD_DOCS[name]) for name, (lsb, bits) in fmt.head_fields.items()]


def factor_exponent(config: EngineConfig) -> int:
    """Return FACTOR_EXPONENT of a matrix whose exponents, where the format has some, have the bias 0."""
    return int(np.float32(factor(config.fmt, 0, config.act_bits)).view(np.uint32)) >> 23
