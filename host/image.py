"""Memory images: matrices and vectors as the engine reads them.

A weight image is a stream of bits, least significant first: for each group of ``lanes`` rows, for each block column,
the blocks of those rows one after another, each ``block_bits`` long, with no padding but at the very end, to a whole
beat. Rows past the last of the matrix are zero blocks. FP16 weights are blocks of one weight.
"""

from dataclasses import dataclass

import numpy as np

from golden.block import CompressedMatrix
from golden.spec import EXP_MIN, BlockFormat
from hw.config import EngineConfig

__all__ = ["StoredMatrix", "activation_image", "fp16_image", "weight_image"]


@dataclass(frozen=True)
class StoredMatrix(CompressedMatrix):
    """A compressed matrix from a file: ``stream``, uint8, is its image for the default engine, and ``error`` what its
    compression cost, relative to the original weights."""

    stream: np.ndarray | None = None
    error: float = 0.0


def _field_bits(values: np.ndarray, width: int) -> np.ndarray:
    """Two's complement bits of integers, least significant first: uint8, shape ``S + (width,)``."""
    return ((values[..., None].astype(np.int64) >> np.arange(width)) & 1).astype(np.uint8)


def _block_bits(fmt: BlockFormat, seeds: np.ndarray, exponents: np.ndarray, coefs: np.ndarray) -> np.ndarray:
    """The bits of each block in the order of the format's fields: uint8, shape ``S + (block_bits,)``."""
    values = {"seed": seeds, "exponent": exponents} | {f"q{i}": coefs[..., i] for i in range(fmt.p)}
    return np.concatenate([_field_bits(values[name], width) for name, (_, width) in fmt.fields.items()], axis=-1)


def _grouped(array: np.ndarray, lanes: int, padding: int) -> np.ndarray:
    """(rows, columns, ...) as (groups, columns, lanes, ...), with rows of ``padding`` behind the last."""
    missing = -len(array) % lanes
    padded = np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1), constant_values=padding)
    return padded.reshape(-1, lanes, *array.shape[1:]).swapaxes(1, 2)


def _whole_beats(content: bytes, config: EngineConfig) -> bytes:
    return content + bytes(-len(content) % config.bus_bytes)


def weight_image(matrix: CompressedMatrix, config: EngineConfig) -> bytes:
    """The image of a compressed matrix, a whole number of beats; a stored one as it is in its file."""
    if (isinstance(matrix, StoredMatrix) and matrix.stream is not None
            and config.bus_bits == EngineConfig(matrix.fmt).bus_bits):
        return matrix.stream.tobytes()
    seeds, exponents, coefs = (_grouped(array, config.lanes, padding) for array, padding in
                               ((matrix.seeds, 1), (matrix.exponents, EXP_MIN), (matrix.coefs, 0)))
    # Eight groups are whole bytes whatever the width of a word; so many at a time, the bits take little memory.
    parts = (slice(start, start + 8) for start in range(0, len(seeds), 8))
    packed = [np.packbits(_block_bits(matrix.fmt, seeds[part], exponents[part], coefs[part]).reshape(-1),
                          bitorder="little").tobytes() for part in parts]
    return _whole_beats(b"".join(packed), config)


def fp16_image(weights: np.ndarray, config: EngineConfig) -> bytes:
    """The image of a float16 matrix, a whole number of beats."""
    return _whole_beats(_grouped(weights.view(np.uint16), config.lanes, 0).astype("<u2").tobytes(), config)


def activation_image(x: np.ndarray, config: EngineConfig) -> bytes:
    """The image of a float16 vector: contiguous, zeros to the end of the last block and of the last beat."""
    return _whole_beats(np.pad(x, (0, -len(x) % config.c)).view(np.uint16).astype("<u2").tobytes(), config)
