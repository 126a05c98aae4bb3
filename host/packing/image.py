"""Memory images: matrices and vectors as the engine reads them.

A weight image is a stream of bits, least significant first: for each group of ``lanes`` rows, for each block column,
the blocks of those rows one after another, each ``block_bits`` long, with no padding but at the very end, to a whole
beat. Rows past the last of the matrix are zero blocks. FP16 weights are blocks of one weight. Rows of int4 are padded
with zero weights to whole groups of 128, which costs bits where columns are no multiple of that.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd

import numpy as np

from golden.block import CompressedMatrix
from golden.int4 import GroupMatrix
from golden.product import Weights
from golden.spec import EXP_BITS, EXP_MIN, SCALE_BITS, WeightFormat
from hw.config import EngineConfig

__all__ = ["SlicedMatrix", "StoredMatrix", "activation_image", "slice_rows", "weight_image"]

_Field = tuple[np.ndarray, int, int]
"""Values (rows, blocks) or (rows, blocks, n), bits of each, and the value that rows of padding have."""


@dataclass(frozen=True)
class StoredMatrix(CompressedMatrix):
    """A compressed matrix from a file: ``stream``, uint8, is its image for the default engine, and ``error`` what its
    compression cost, relative to the original weights."""

    stream: np.ndarray | None = None
    error: float = 0.0


@dataclass(frozen=True)
class SlicedMatrix:
    """A matrix that is never held as a whole: ``slices()`` makes its rows, some at a time, each slice but the last of
    whole multiples of :func:`slice_rows`. Its exponent bias, where the format has one, is 0."""

    fmt: WeightFormat
    shape: tuple[int, int]
    slices: Callable[[], Iterator[Weights]]


def slice_rows(config: EngineConfig, cols: int) -> int:
    """Least number of rows whose image is whole beats, so that images of slices make that of the matrix."""
    return config.lanes * (config.bus_bits // gcd(config.bus_bits, config.blocks(cols) * config.word_bits))


def _field_bits(values: np.ndarray, width: int) -> np.ndarray:
    """Two's complement bits of integers, least significant first: uint8, shape ``S + (width,)``."""
    return ((values[..., None].astype(np.int64) >> np.arange(width)) & 1).astype(np.uint8)


def _fields(matrix: CompressedMatrix | GroupMatrix) -> list[_Field]:
    """What its blocks consist of, from the lowest bit on."""
    fmt = matrix.fmt
    if isinstance(matrix, CompressedMatrix):
        return [(matrix.seeds, matrix.fmt.k, 1), (matrix.exponents, EXP_BITS, EXP_MIN),
                (matrix.coefs, matrix.fmt.coef_bits, 0)]
    codes = matrix.groups().reshape(len(matrix.codes), -1, fmt.c)
    scale_bits = _field_bits(matrix.scales.view(np.uint16), SCALE_BITS).reshape(len(codes), -1)
    return [(codes, matrix.fmt.bits, 0), (scale_bits, 1, 0)]


def _grouped(array: np.ndarray, lanes: int, padding: int) -> np.ndarray:
    """(rows, columns, ...) as (groups, columns, lanes, ...), with rows of ``padding`` behind the last."""
    missing = -len(array) % lanes
    padded = np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1), constant_values=padding)
    return padded.reshape(-1, lanes, *array.shape[1:]).swapaxes(1, 2)


def _whole_beats(content: bytes, config: EngineConfig) -> bytes:
    return content + bytes(-len(content) % config.bus_bytes)


def weight_image(weights: Weights, config: EngineConfig) -> bytes:
    """The image of a matrix, a whole number of beats; a stored one as it is in its file."""
    if isinstance(weights, np.ndarray):
        return _whole_beats(_grouped(weights.view(np.uint16), config.lanes, 0).astype("<u2").tobytes(), config)
    if (isinstance(weights, StoredMatrix) and weights.stream is not None
            and config.bus_bits == EngineConfig(weights.fmt).bus_bits):
        return weights.stream.tobytes()
    fields = [(_grouped(values, config.lanes, padding), width) for values, width, padding in _fields(weights)]
    groups, blocks, lanes = fields[0][0].shape[:3]
    packed = []
    # Eight groups are whole bytes whatever the width of a word; so many at a time, the bits take little memory.
    for start in range(0, groups, 8):
        bits = [_field_bits(values[start:start + 8], width).reshape(-1, blocks, lanes, width * values[0, 0, 0].size)
                for values, width in fields]
        packed.append(np.packbits(np.concatenate(bits, axis=-1), bitorder="little").tobytes())
    return _whole_beats(b"".join(packed), config)


def activation_image(x: np.ndarray, config: EngineConfig) -> bytes:
    """The image of a float16 vector: contiguous, zeros to the end of the last block and of the last beat."""
    padded = np.pad(x, (0, config.blocks(len(x)) * config.c - len(x)))
    return _whole_beats(padded.view(np.uint16).astype("<u2").tobytes(), config)
