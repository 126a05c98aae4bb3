"""The decoder as one kernel of Triton, for GPUs: from the packed stream to weights, with nothing in between.

The operators of :mod:`host.hf.decode` write intermediate results of some hundred bytes for each weight. Here, a thread
reads a block, looks up the bits that its register shifts in, and keeps the rest in registers of its own.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from golden.layout import StreamLayout
from golden.spec import EXP_BITS, BlockFormat
from host.packing import decode as by_table

__all__ = ["decodes", "launch"]

_BLOCKS = 128
"""Blocks of a program, of which each of its 128 threads has one: the fastest of 64 to 512, on an H200."""
_WARPS = 4
_PART = 8
"""Weights that are stored at a time at most: 16 bytes of float16."""
_SEED_BITS = 16  # beyond, tables do not fit into caches
_WORDS = 2  # of a table, for each seed
_MOST = 1 << 31  # blocks, whose numbers are integers of 32 bits


def _part(fmt: BlockFormat) -> int:
    """Return how many weights of a block are computed at a time: a power of two that divides them, as tensors have."""
    return min(fmt.c & -fmt.c, _PART)


@dataclass(frozen=True)
class _Table:
    """The bits that follow each seed: ``words`` integers of 64 bits, of which each has the states of ``weights``
    weights, bit i of a word those from i on."""

    words: int
    weights: int

    @classmethod
    def of(cls, fmt: BlockFormat) -> "_Table":
        """Return the table of a format, whose states have 64 bits at most."""
        weights = (64 - fmt.k + 1) // fmt.p // _part(fmt) * _part(fmt)
        return cls(-(-fmt.c // weights) if weights else 0, weights)


@lru_cache(maxsize=64)  # some formats on each of several GPUs
def _bits(fmt: BlockFormat, device: torch.device) -> Tensor:
    """Return the bits that follow each seed: int64, (words, 2**k)."""
    states, place = by_table.cycle(fmt)
    lowest = ((states[:fmt.seeds] + fmt.offset) & 1).astype(np.uint64)
    table = _Table.of(fmt)
    found = np.zeros((table.words, fmt.seeds + 1), np.uint64)
    for word in range(table.words):
        for bit in range(table.weights * fmt.p + fmt.k - 1):
            at = (place + 1 + word * table.weights * fmt.p + bit) % fmt.seeds
            found[word] |= lowest[at] << np.uint64(bit)
    return torch.from_numpy(found.view(np.int64)).to(device)


@triton.jit
def _decode(stream, table, out, words, cols, blocks, total, bias,  # type: ignore[no-untyped-def]  # Triton's own types
            C: tl.constexpr, PART: tl.constexpr, P: tl.constexpr, K: tl.constexpr, EXP: tl.constexpr,
            COEF: tl.constexpr, BITS: tl.constexpr, LANES: tl.constexpr, TABLE: tl.constexpr, HELD: tl.constexpr,
            OFFSET: tl.constexpr, UNIT: tl.constexpr, RECIPROCAL: tl.constexpr, DIVIDE: tl.constexpr,
            BFLOAT16: tl.constexpr, PADDED: tl.constexpr, TILE: tl.constexpr):
    index = tl.program_id(0) * TILE + tl.arange(0, TILE)  # of a block in the order of the matrix
    row, column = index // blocks, index % blocks
    inside = index < total
    block = ((row // LANES) * blocks + column).to(tl.int64) * LANES + row % LANES  # in that of the stream
    if BITS == 32:
        field = tl.load(stream + block, mask=inside, other=0).to(tl.uint32, bitcast=True).to(tl.uint64)
    else:
        first, shift = (block * BITS) >> 5, ((block * BITS) & 31).to(tl.uint64)
        low = tl.load(stream + first, mask=inside, other=0).to(tl.uint32, bitcast=True).to(tl.uint64)
        high = tl.load(stream + first + 1, mask=inside & (first + 1 < words), other=0)
        field = (low | (high.to(tl.uint32, bitcast=True).to(tl.uint64) << 32)) >> shift
        if BITS > 33:
            last = tl.load(stream + first + 2, mask=inside & (first + 2 < words), other=0)
            last = last.to(tl.uint32, bitcast=True).to(tl.uint64)
            field |= tl.where(shift == 0, 0, last << ((64 - shift) & 63))
    seed = (field & ((1 << K) - 1)).to(tl.int32)
    bits = tl.load(table + seed, mask=inside, other=0).to(tl.uint64, bitcast=True)
    more = bits
    if TABLE == 2:
        more = tl.load(table + seed + (1 << K), mask=inside, other=0).to(tl.uint64, bitcast=True)
    exponent = ((field >> K) & ((1 << EXP) - 1)).to(tl.int32)
    exponent = (exponent ^ (1 << (EXP - 1))) - (1 << (EXP - 1)) + bias
    power = ((exponent + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)[:, None]
    scale = power * tl.full([1, 1], RECIPROCAL, tl.int64).to(tl.float64, bitcast=True)
    for part in tl.static_range(C // PART):
        weight = part * PART + tl.arange(0, PART)[None, :]
        if part * PART < HELD:
            states, place = bits[:, None], weight * P
        else:
            states, place = more[:, None], (weight - HELD) * P
        numerator = tl.zeros((TILE, PART), tl.int32)
        for j in tl.static_range(P):
            code = ((field >> (K + EXP + j * COEF)) & ((1 << COEF) - 1)).to(tl.int32)
            code = (code ^ (1 << (COEF - 1))) - (1 << (COEF - 1))
            state = ((states >> (place + j).to(tl.uint64)) & ((1 << K) - 1)).to(tl.int32)
            numerator += code[:, None] * (state - OFFSET)
        if DIVIDE:
            value = numerator.to(tl.float64) / tl.full([1, 1], UNIT, tl.int32).to(tl.float64) * power
        else:
            value = numerator.to(tl.float64) * scale
        if BFLOAT16:  # by way of float32, as ml_dtypes rounds; to nearest and even, on integers, as types are emulated
            short = value.to(tl.float32).to(tl.uint32, bitcast=True)
            rounded = ((short + 0x7FFF + ((short >> 16) & 1)) >> 16).to(tl.int16)
        else:
            rounded = value.to(out.dtype.element_ty)
        if PADDED:
            at = column[:, None] * C + weight
            tl.store(out + row.to(tl.int64)[:, None] * cols + at, rounded, mask=inside[:, None] & (at < cols))
        else:
            tl.store(out + index.to(tl.int64)[:, None] * C + weight, rounded, mask=inside[:, None])


def decodes(stream: Tensor, fmt: BlockFormat, rows: int, cols: int) -> bool:
    """Whether :func:`launch` decodes such a stream: of a format whose tables are small, in whole words of 32 bits."""
    table = _Table.of(fmt)
    return (fmt.k <= _SEED_BITS and 0 < table.words <= _WORDS and rows * StreamLayout(fmt).blocks(cols) < _MOST
            and stream.is_contiguous() and stream.data_ptr() % 4 == 0 and stream.numel() % 4 == 0)


def _multiplies(fmt: BlockFormat, dtype: torch.dtype) -> bool:
    """Whether the product with the rounded reciprocal of the unit, rounded to a type, equals the rounded quotient.

    A quotient of an integer by an odd unit below 2**24 is a number of 26 bits or less, or its distance from the next
    one is 2**-50 of it or more. Integers are exact where the reciprocal is, up to 2**-55.
    """
    return dtype != torch.float64 and abs(Fraction(1 / fmt.unit) * fmt.unit - 1) < Fraction(1, 1 << 55)


def launch(stream: Tensor, fmt: BlockFormat, rows: int, cols: int, exponent_bias: int, dtype: torch.dtype) -> Tensor:
    """Return the matrix of a stream, (rows, cols), for which :func:`decodes` is true.

    Parameters
    ----------
    stream : uint8 tensor, (bytes,)
        On a GPU.
    """
    layout, table = StreamLayout(fmt), _Table.of(fmt)
    blocks, words = layout.blocks(cols), stream.view(torch.int32)
    total, bfloat16 = rows * blocks, dtype == torch.bfloat16
    out = torch.empty(rows, cols, dtype=dtype, device=stream.device)
    with torch.cuda.device(stream.device) if stream.is_cuda else nullcontext():
        _decode[(triton.cdiv(total, _BLOCKS),)](
            words, _bits(fmt, stream.device), out.view(torch.int16) if bfloat16 else out, len(words), cols, blocks,
            total, exponent_bias, C=fmt.c, PART=_part(fmt), P=fmt.p, K=fmt.k, EXP=EXP_BITS,
            COEF=fmt.coef_bits, BITS=fmt.block_bits, LANES=layout.lanes, TABLE=table.words, HELD=table.weights,
            OFFSET=fmt.offset, UNIT=fmt.unit, RECIPROCAL=int(np.float64(1 / fmt.unit).view(np.int64)),
            DIVIDE=not _multiplies(fmt, dtype), BFLOAT16=bfloat16, PADDED=blocks * fmt.c != cols, TILE=_BLOCKS,
            num_warps=_WARPS)
    return out
