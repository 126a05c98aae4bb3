"""The decoder in PyTorch: packed streams to weights, on any device, to the bit what ``seedlm-fpga decompress`` writes.

A weight is the integer ``(V - 2**(k-1)) @ q`` of its block, divided by ``2**(k-1) - 1`` and multiplied by a power of
two. Integers of 32 bits are exact here, because that integer is at most 2**29; the division is one of float64, as in
:mod:`host.packing.decode`, and the result is rounded to its type as NumPy and ml_dtypes round it.

The decoder is the operator ``torch.ops.seedlm.decode``, which torch.compile takes as a whole. On GPUs, it is one kernel
where Triton is installed (:mod:`host.hf.decode_kernel`), as it is with PyTorch for CUDA.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

from golden.layout import StreamLayout
from golden.spec import EXP_BITS, EXP_MAX, BlockFormat
from host.checkpoint.stacks import matrix_shape
from host.encoder.encoder import require_exponents
from host.encoder.torch_codes import times_power
from host.packing import decode as by_table
from host.packing.stream import group_bytes

__all__ = ["BIAS_MOST", "decode", "greatest", "zero_seeds"]

BIAS_MOST = 900
"""Greatest magnitude of an exponent bias that is decoded: all powers of two then are normal numbers of float64."""
_WEIGHTS = 1 << 22
"""Weights decoded at a time. The largest intermediate result has ``p`` integers of 32 bits for each of them."""


@lru_cache(maxsize=64)  # some formats on each of several GPUs
def _tables(fmt: BlockFormat, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the tables of :func:`host.packing.decode.cycle` on a device: the states that follow every place of the
    cycle, int32, (2**k - 1, c * p), and the place of every seed, int32, (2**k,).

    Places overlap, so that the first table takes the memory of one cycle.
    """
    states, place = (torch.from_numpy(table).to(device) for table in by_table.cycle(fmt))
    return states[1:].unfold(0, fmt.c * fmt.p, 1), place


@lru_cache(maxsize=128)
def _shifts(starts: tuple[int, ...], device: torch.device) -> Tensor:
    """Return in which bits of their bytes some bits are, on a device: int64. They are kept, because a copy to a device
    would wait for it every time."""
    return torch.tensor([start % 8 for start in starts], device=device)


def _bits(units: Tensor, fmt: BlockFormat, low: int) -> Tensor:
    """Return the 57 or more bits of every block that begin with its bit ``low``, as far as its unit goes.

    Parameters
    ----------
    units : uint8 tensor, (n, block_bits)
        Units of eight blocks, which are whole bytes whatever the width of a block.

    Returns
    -------
    int64 tensor, (n, 8)
    """
    starts = tuple(n * fmt.block_bits + low for n in range(8))
    padded = torch.nn.functional.pad(units, (0, 8))
    words = torch.stack([padded[:, start // 8:start // 8 + 8] for start in starts], dim=1).view(torch.int64)[..., 0]
    return words >> _shifts(starts, units.device)


def _field(words: Tensor, low: int, width: int) -> Tensor:
    """Return an unsigned field of words of 64 bits: int64."""
    return (words >> low) & ((1 << width) - 1)


def _signed(words: Tensor, low: int, width: int) -> Tensor:
    """Return a field in two's complement: int64."""
    half = 1 << (width - 1)
    return (_field(words, low, width) ^ half) - half


def _decoded(units: Tensor, fmt: BlockFormat, exponent_bias: int) -> Tensor:
    """Return the weights of blocks in float64: (blocks, c). ``units`` is as for :func:`_bits`."""
    head, tail = _bits(units, fmt, 0).flatten(), _bits(units, fmt, fmt.k + EXP_BITS).flatten()
    states, place = _tables(fmt, units.device)
    windows = states[place[_field(head, 0, fmt.k)]].view(-1, fmt.c, fmt.p)
    coefs = torch.stack([_signed(tail, n * fmt.coef_bits, fmt.coef_bits) for n in range(fmt.p)], dim=1)
    numerators = (windows * coefs[:, None].to(torch.int32)).sum(dim=2, dtype=torch.int32)
    power = _signed(head, fmt.k, EXP_BITS) + exponent_bias
    return times_power(numerators.double() / fmt.unit, power[:, None])


def _rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Round float64 numbers to a type, to nearest and even, as NumPy and ml_dtypes do.

    PyTorch rounds to float32 first and then to float16, which is twice. A float32 whose last bit is odd whenever it is
    not exact lies between the same numbers of float16 as the exact value, so the second rounding is the only one.
    bfloat16 is rounded by way of float32 in ml_dtypes too.
    """
    short = values.to(torch.float32)
    if dtype == torch.float16:
        bits, exact = short.view(torch.int32), short.double() == values
        away = short.double().abs() > values.abs()
        odd = torch.where(away, bits - 1, bits + 1)
        short = torch.where(exact | (bits & 1 == 1) | ~short.isfinite(), bits, odd).view(torch.float32)
    return values if dtype == torch.float64 else short.to(dtype)


def _slices(stream: Tensor, fmt: BlockFormat, rows: int, cols: int) -> list[tuple[int, int, Tensor]]:
    """Cut a stream into some groups of rows at a time: the first row, the row behind the last, and the bytes of each
    slice as units of eight blocks."""
    lanes, size = StreamLayout(fmt).lanes, group_bytes(fmt, cols)
    step = max(_WEIGHTS // (lanes * cols), 1)
    return [(first * lanes, min((first + step) * lanes, rows),
             stream[first * size:(first + step) * size][:-(-min(step * lanes, rows - first * lanes) // lanes) * size]
             .view(-1, fmt.block_bits)) for first in range(0, -(-rows // lanes), step)]


@cache
def _kernel() -> ModuleType | None:
    """Return the module of the kernel for GPUs, or None where there is no Triton."""
    try:
        return import_module("host.hf.decode_kernel")
    except ImportError:
        return None


def _matrix(stream: Tensor, fmt: BlockFormat, rows: int, cols: int, exponent_bias: int, dtype: torch.dtype) -> Tensor:
    """Return the matrix of a stream: (rows, cols)."""
    if stream.is_cuda and (kernel := _kernel()) and kernel.decodes(stream, fmt, rows, cols):
        return kernel.launch(stream, fmt, rows, cols, exponent_bias, dtype)
    layout = StreamLayout(fmt)
    out = torch.empty(rows, cols, dtype=dtype, device=stream.device)
    for first, stop, units in _slices(stream, fmt, rows, cols):
        values = _decoded(units, fmt, exponent_bias).view(-1, layout.blocks(cols), layout.lanes, fmt.c)
        by_row = values.transpose(1, 2).reshape(-1, layout.blocks(cols) * fmt.c)
        out[first:stop] = _rounded(by_row[:stop - first, :cols], dtype)
    return out


@torch.library.custom_op("seedlm::decode", mutates_args=())
def _decode(stream: Tensor, c: int, p: int, k: int, coef_bits: int, shape: list[int], transposed: bool,
            exponent_bias: int, dtype: torch.dtype) -> Tensor:
    rows, cols = matrix_shape(tuple(shape), transposed)
    matrix = _matrix(stream, BlockFormat(c, p, k, coef_bits), rows, cols, exponent_bias, dtype)
    if not transposed:
        return matrix.view(shape)
    return matrix.view(*shape[:-2], shape[-1], shape[-2]).transpose(-1, -2).contiguous()


@_decode.register_fake
def _(stream: Tensor, c: int, p: int, k: int, coef_bits: int, shape: list[int], transposed: bool, exponent_bias: int,
      dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=stream.device)


def decode(stream: Tensor, fmt: BlockFormat, shape: Sequence[int], exponent_bias: int, dtype: torch.dtype,
           transposed: bool = False) -> Tensor:
    """Return the tensor that a stream stands for, on the stream's device.

    Parameters
    ----------
    stream : uint8 tensor, (bytes,)
        What :func:`host.packing.stream.pack_rows` makes; bytes behind the last group are ignored.
    shape : sequence of int
        Shape of the tensor, two or more dimensions.
    exponent_bias : int
        At most :data:`BIAS_MOST` in magnitude.
    dtype : torch.dtype
        float64, float32, float16 or bfloat16.
    transposed : bool
        Whether the tensor is (..., inputs, outputs), where the stream holds outputs as rows.

    Raises
    ------
    UserError
        When the format has no exponents.
    """
    require_exponents(fmt, "the decoder in PyTorch")
    return _decode(stream, fmt.c, fmt.p, fmt.k, fmt.coef_bits, list(shape), transposed, exponent_bias, dtype)


def greatest(fmt: BlockFormat, exponent_bias: int) -> float:
    """Return a bound of the magnitude of all weights that a format with this exponent bias can stand for."""
    return fmt.p * -fmt.coef_min * fmt.offset / fmt.unit * 2.0 ** (EXP_MAX + exponent_bias)


def zero_seeds(stream: Tensor, fmt: BlockFormat, shape: Sequence[int], transposed: bool = False) -> bool:
    """Whether a stream has a block with the seed 0, which no encoder writes. Parameters are those of :func:`decode`."""
    return any(bool((_field(_bits(units, fmt, 0), 0, fmt.k) == 0).any())
               for _, _, units in _slices(stream, fmt, *matrix_shape(tuple(shape), transposed)))
