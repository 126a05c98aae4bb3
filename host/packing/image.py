"""Memory images: matrices and vectors as the engine reads them.

A weight image is a stream of bits, least significant first, in the order of :class:`golden.layout.StreamLayout`: for
each group of ``lanes`` rows and for each block column, the blocks of those rows follow one another, each ``block_bits``
long. The only padding is at the very end, to a whole beat. Rows past the last one of the matrix are zero blocks. FP16
weights are blocks of one weight. The last group of a row of integers has the blocks that are left, 16 to 31, and a row
of fewer than 16 blocks is padded with zero weights. Where rows have scales of their own, their heads are the first
block column of each group.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from golden.block import CompressedMatrix
from golden.integers import GroupMatrix
from golden.layout import StreamLayout
from golden.product import Weights
from golden.spec import SCALE_BITS, WeightFormat
from golden.trellis.matrix import TrellisMatrix

__all__ = ["SlicedMatrix", "StoredMatrix", "activation_bytes", "activation_image", "image_bytes", "slice_rows",
           "weight_image"]

_Field = tuple[np.ndarray, int, int]
"""A field of every block: its integers, (rows, blocks) or (rows, blocks, n), the width of each integer in bits, and the
value that it has in rows of padding."""


@dataclass(frozen=True)
class StoredMatrix(CompressedMatrix):
    """A compressed matrix from a file.

    ``stream``, if it is there, is the matrix's image for the default bus: uint8, 1-D. ``error`` is the reconstruction
    error of the compression, relative to the norm of the original weights.
    """

    stream: np.ndarray | None = None
    error: float = 0.0


@dataclass(frozen=True)
class SlicedMatrix:
    """A matrix that is never held as a whole.

    ``slices()`` yields its rows in order, some at a time; every slice but the last has a multiple of
    :func:`slice_rows` rows. The exponent bias, where the format has one, is 0. ``shape`` is (rows, columns).
    """

    fmt: WeightFormat
    shape: tuple[int, int]
    slices: Callable[[], Iterator[Weights]]


def activation_bytes(layout: StreamLayout, cols: int) -> int:
    """Return the bytes of the image of a vector, which are whole beats."""
    return -(-2 * layout.weight_blocks(cols) * layout.c // layout.bus_bytes) * layout.bus_bytes


def image_bytes(layout: StreamLayout, shape: tuple[int, int]) -> int:
    """Return the bytes of the image of a matrix of this shape, (rows, columns), which are whole beats."""
    rows, cols = shape
    words = -(-rows // layout.lanes) * layout.blocks(cols)
    return -(-words * layout.word_bits // layout.bus_bits) * layout.bus_bytes


def slice_rows(layout: StreamLayout, cols: int) -> int:
    """Return the least number of rows whose image is whole beats.

    The images of slices of so many rows, one behind the other, are the image of the matrix.
    """
    return layout.lanes * (layout.bus_bits // gcd(layout.bus_bits, layout.blocks(cols) * layout.word_bits))


def _field_bits(values: np.ndarray, width: int) -> np.ndarray:
    """Return the two's complement bits of integers of shape S, least significant first: uint8, ``S + (width,)``."""
    return ((values[..., None].astype(np.int64) >> np.arange(width)) & 1).astype(np.uint8)


def _seedlm_fields(matrix: CompressedMatrix) -> list[_Field]:
    fmt = matrix.fmt
    exponents = [(matrix.exponents, fmt.exp_bits, fmt.exp_min)] if fmt.exp_bits else []
    return [(matrix.seeds, fmt.k, 1), *exponents, (matrix.coefs, fmt.coef_bits, 0)]


def _trellis_fields(matrix: TrellisMatrix) -> list[_Field]:
    codes = np.pad(matrix.codes, ((0, 0), (0, -matrix.shape[1] % matrix.fmt.c)))
    return [(codes.reshape(len(codes), -1, matrix.fmt.c), matrix.fmt.bits, 0)]


def _integer_fields(matrix: GroupMatrix) -> list[_Field]:
    codes = matrix.blocks()
    scale_bits = np.zeros(codes.shape[:2], np.uint8)
    stored = _field_bits(matrix.scales.view(np.uint16), SCALE_BITS).reshape(len(codes), -1)
    scale_bits[:, :stored.shape[1]] = stored
    return [(codes, matrix.fmt.bits, 0), (scale_bits, 1, 0)]


_FIELDS: dict[type, Callable[[Any], list[_Field]]] = {
    CompressedMatrix: _seedlm_fields, StoredMatrix: _seedlm_fields, GroupMatrix: _integer_fields,
    TrellisMatrix: _trellis_fields}
"""The fields of the blocks that hold weights, from the lowest bit on, of each type of matrix."""


def _head_fields(matrix: CompressedMatrix | GroupMatrix | TrellisMatrix) -> list[_Field]:
    """Return the fields of the heads, from the lowest bit on; none where rows have no scales of their own."""
    if isinstance(matrix, GroupMatrix) or matrix.scales is None:
        return []
    starts = [(matrix.starts[:, None], matrix.fmt.start_bits, 0)] if isinstance(matrix, TrellisMatrix) else []
    return [(matrix.scales.view(np.uint16)[:, None], SCALE_BITS, 0), *starts]


def _block_bits(fields: list[tuple[np.ndarray, int]], groups: slice, width: int) -> np.ndarray:
    """Return the bits of blocks of ``width`` bits, from fields of (groups, blocks, lanes, ...): uint8, (groups, blocks,
    lanes, width). Zeros fill the blocks up."""
    bits = [_field_bits(values[groups], each) for values, each in fields]
    joined = np.concatenate([part.reshape(*part.shape[:3], -1) for part in bits], axis=-1)
    return np.pad(joined, [(0, 0)] * 3 + [(0, width - joined.shape[-1])])


def _grouped(array: np.ndarray, lanes: int, padding: int) -> np.ndarray:
    """Turn (rows, columns, ...) into (groups, columns, lanes, ...), with rows of ``padding`` behind the last one."""
    missing = -len(array) % lanes
    padded = np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1), constant_values=padding)
    return padded.reshape(-1, lanes, *array.shape[1:]).swapaxes(1, 2)


def _whole_beats(content: bytes, layout: StreamLayout) -> bytes:
    """Return the content with zeros to the end of its last beat."""
    return content + bytes(-len(content) % layout.bus_bytes)


def weight_image(weights: Weights, layout: StreamLayout) -> bytes:
    """Return the image of a matrix, a whole number of beats.

    The stream of a :class:`StoredMatrix` is returned as it is in its file if the bus has the default width.
    """
    if isinstance(weights, np.ndarray):
        return _whole_beats(_grouped(weights.view(np.uint16), layout.lanes, 0).astype("<u2").tobytes(), layout)
    if (isinstance(weights, StoredMatrix) and weights.stream is not None
            and layout.bus_bits == StreamLayout(weights.fmt).bus_bits):
        return weights.stream.tobytes()
    kinds = [[(_grouped(values, layout.lanes, padding), width) for values, width, padding in fields]
             for fields in (_head_fields(weights), _FIELDS[type(weights)](weights)) if fields]
    packed = []
    # Eight groups are whole bytes whatever the width of a word. Bits, one a byte, take little memory that way.
    for start in range(0, len(kinds[0][0][0]), 8):
        blocks = [_block_bits(fields, slice(start, start + 8), layout.block_bits) for fields in kinds]
        packed.append(np.packbits(np.concatenate(blocks, axis=1), bitorder="little").tobytes())
    return _whole_beats(b"".join(packed), layout)


def activation_image(x: np.ndarray, layout: StreamLayout) -> bytes:
    """Return the image of a float16 vector, (columns,), with zeros to the end of its last block, and then to the end of
    the last beat."""
    padded = np.pad(x, (0, layout.weight_blocks(len(x)) * layout.c - len(x)))
    return _whole_beats(padded.view(np.uint16).astype("<u2").tobytes(), layout)
