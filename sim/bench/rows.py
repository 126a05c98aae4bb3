"""Rows of weights as the blocks that memory holds: random ones, and the exact sum and scale of any.

Each family of formats has its own functions here. They share golden's arithmetic with the hardware, and no algorithm.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from golden import fp16, integers, matvec
from golden.block import CompressedMatrix, unpack
from golden.integers import GroupMatrix
from golden.scales import LEAST_SCALE
from golden.spec import HEAD_FIELDS, SCALE_BITS, BlockFormat, GroupFormat, HalfFormat, TrellisFormat
from golden.trellis import matrix as trellis_matrix
from golden.trellis import matvec as trellis_matvec
from hw.config import EngineConfig

__all__ = ["random_half", "random_row", "random_scale", "row_sum"]


def random_half() -> int:
    """A random finite FP16 number."""
    return random.getrandbits(1) << 15 | random.randrange(0x7C00)


def random_scale() -> int:
    """A random scale of a row: a normal FP16 number, or now and then a zero."""
    return random.getrandbits(1) << 15 | (random.randrange(1 << 10, 0x7C00) if random.random() < 0.95 else 0)


def _head(fmt: Any) -> list[int]:
    """The head of a row, where rows have one: a scale, and any bits in the fields above it."""
    if not fmt.head_fields:
        return []
    low, width = fmt.head_fields["scale"]
    above = sum(bits for _, bits in fmt.head_fields.values()) - width
    return [(random.getrandbits(above) << width | random_scale()) << low]


def _block_row(fmt: BlockFormat, blocks: int) -> list[int]:
    """The blocks of a row with random fields, so many behind its head."""
    return [*_head(fmt), *(random.randint(1, fmt.seeds) | random.getrandbits(fmt.block_bits - fmt.k) << fmt.k
                           for _ in range(blocks))]


def _trellis_row(fmt: TrellisFormat, blocks: int) -> list[int]:
    """The same for a trellis."""
    return [*_head(fmt), *(random.getrandbits(fmt.block_bits) for _ in range(blocks))]


def _group_row(fmt: GroupFormat, blocks: int) -> list[int]:
    """The same for integers. The blocks behind those of the last scale have any bit where the others have one of a
    scale."""
    scales = [random_half() for _ in range(blocks // SCALE_BITS)]
    tops = [scale >> n & 1 for scale in scales for n in range(SCALE_BITS)]
    tops += [random.getrandbits(1) for _ in range(blocks - len(tops))]
    return [random.getrandbits(fmt.c * fmt.bits) | top << fmt.c * fmt.bits for top in tops]


def _block_sum(fmt: BlockFormat, row: np.ndarray, elements: np.ndarray) -> np.ndarray | None:
    seeds, exponents, coefs = unpack(fmt, row[None, fmt.head_blocks:])
    scales = np.zeros(1, np.float16) if fmt.head_blocks else None
    matrix = CompressedMatrix(fmt, (1, len(elements)), np.maximum(seeds, 1), exponents, coefs, scales=scales)
    return matvec.accumulate(matrix, elements) if seeds.all() else None


def _group_sum(fmt: GroupFormat, row: np.ndarray, elements: np.ndarray) -> np.ndarray | None:
    mask, half = (1 << fmt.bits) - 1, 1 << fmt.bits - 1
    codes = [(int(block) >> n * fmt.bits & mask ^ half) - half for block in row for n in range(fmt.c)]
    tops = [int(block) >> fmt.c * fmt.bits for block in row]
    scales = np.array([sum(bit << n for n, bit in enumerate(tops[first:first + SCALE_BITS]))
                       for first in range(0, len(tops) - SCALE_BITS + 1, SCALE_BITS)], np.uint16).view(np.float16)
    if not np.isfinite(scales).all():
        return None
    return integers.accumulate(GroupMatrix(fmt, np.array([codes], dtype=np.int8), scales[None]), elements)


def _trellis_sum(fmt: TrellisFormat, row: np.ndarray, elements: np.ndarray) -> np.ndarray:
    low, width = HEAD_FIELDS["scale"]
    unscaled = [int(row[0]) & ~((1 << width) - 1 << low), *row[1:]]
    matrix = trellis_matrix.unpack(fmt, np.array([unscaled], dtype=object), len(elements))
    return trellis_matvec.accumulate(matrix, elements)


def _half_sum(fmt: HalfFormat, row: np.ndarray, elements: np.ndarray) -> np.ndarray | None:
    weights = row.astype(np.uint16).view(np.float16)[None]
    return fp16.accumulate(weights, elements) if np.isfinite(weights).all() else None


@dataclass(frozen=True)
class _Family:
    """How the rows of a family of formats are drawn, of a format and the number of blocks that hold weights, and what
    the exact sum of one is, (1,), of a format, the blocks and the activations; None when the row has weights of which
    the format says nothing."""

    row: Callable[[Any, int], list[int]]
    sum: Callable[[Any, np.ndarray, np.ndarray], np.ndarray | None]


_FAMILIES: dict[type, _Family] = {
    BlockFormat: _Family(_block_row, _block_sum),
    GroupFormat: _Family(_group_row, _group_sum),
    TrellisFormat: _Family(_trellis_row, _trellis_sum),
    HalfFormat: _Family(lambda fmt, blocks: [random_half() for _ in range(blocks)], _half_sum),
}


def random_row(config: EngineConfig, blocks: int) -> list[int]:
    """The blocks of a random row, as integers, its head among them."""
    return _FAMILIES[type(config.fmt)].row(config.fmt, blocks - config.fmt.head_blocks)


def row_sum(config: EngineConfig, row: Sequence[int] | np.ndarray,
            elements: np.ndarray) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The exact sum of a row, (1,), and its scale, float16, (1,), if it has one; None when the row has weights, or a
    scale, of which its format says nothing.

    Parameters
    ----------
    row : sequence of int
        Its blocks.
    elements : array
        An activation for each weight, as golden's sums take it.
    """
    row, scale = np.asarray(row, dtype=object), None
    if config.fmt.head_blocks:
        low, width = HEAD_FIELDS["scale"]
        scale = np.array([int(row[0]) >> low & (1 << width) - 1], np.uint16).view(np.float16)
        if not np.isfinite(scale).all():
            return None
        # The hardware takes a subnormal scale for 0; no other part of the project has one.
        scale = np.where(np.abs(scale) < LEAST_SCALE, np.float16(0), scale)
    total = _FAMILIES[type(config.fmt)].sum(config.fmt, row, elements)
    return None if total is None else (total, scale)
