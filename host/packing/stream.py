"""The packed stream of a compressed matrix, in the one order in which files hold it: bytes to fields and back.

The stream is :func:`host.packing.image.weight_image` for the default bus, ``StreamLayout(fmt)``, so the DMA of an
engine with that bus can read a mapped file as it is. Groups of ``lanes`` rows are whole numbers of bytes, so rows can
be read, written and checked group by group. Zero bits fill the end of the last beat.
"""

import numpy as np

from golden.block import CompressedMatrix
from golden.layout import StreamLayout
from golden.spec import BlockFormat
from host.packing.image import image_bytes, weight_image

__all__ = ["group_bytes", "lanes", "pack_rows", "stream_bytes", "unpack_rows"]

_UNPACKED_BITS = 64  # bits that a block is unpacked into; the widest block has 60


def lanes(fmt: BlockFormat) -> int:
    """Return the number of rows of a group."""
    return StreamLayout(fmt).lanes


def group_bytes(fmt: BlockFormat, cols: int) -> int:
    """Return the bytes of one group of rows of a matrix with ``cols`` columns."""
    layout = StreamLayout(fmt)
    return layout.blocks(cols) * layout.word_bits // 8


def stream_bytes(fmt: BlockFormat, shape: tuple[int, int]) -> int:
    """Return the bytes of the stream of a matrix of this shape, (rows, columns), with the zeros at its end."""
    return image_bytes(StreamLayout(fmt), shape)


def pack_rows(matrix: CompressedMatrix) -> bytes:
    """Pack the groups of a matrix, which may be some rows of a larger one, without the zeros that end a stream."""
    rows, cols = matrix.shape
    content = weight_image(matrix, StreamLayout(matrix.fmt))
    return content[:-(-rows // lanes(matrix.fmt)) * group_bytes(matrix.fmt, cols)]


def unpack_rows(content: np.ndarray, fmt: BlockFormat, shape: tuple[int, int], exponent_bias: int) -> CompressedMatrix:
    """Unpack groups of rows: the inverse of :func:`pack_rows`.

    Parameters
    ----------
    content : uint8 array, 1-D
        Whole groups; bytes behind them are ignored.
    shape : (int, int)
        Rows and columns of the result. Rows that only fill the last group are dropped.

    Raises
    ------
    ValueError
        When there are too few bytes, a field is out of its range, or the format has no exponents.
    """
    if not fmt.exp_bits:
        raise ValueError(f"no files hold rows of {fmt.name}, whose heads are not read here")
    rows, cols = shape
    layout = StreamLayout(fmt)
    blocks, side = layout.blocks(cols), layout.lanes
    groups = -(-rows // side)
    size = groups * group_bytes(fmt, cols)
    if len(content) < size:
        raise ValueError(f"{size} bytes make {rows} x {cols} weights, not {len(content)}")
    bits = np.unpackbits(content[:size], bitorder="little").reshape(groups, blocks, side, fmt.block_bits)
    bits = bits.swapaxes(1, 2).reshape(groups * side, blocks, fmt.block_bits)[:rows]
    # Each block becomes one integer, from which the fields are cut by shifts for all blocks at once.
    wide = np.pad(bits, ((0, 0), (0, 0), (0, _UNPACKED_BITS - fmt.block_bits)))
    words = np.packbits(wide, axis=-1, bitorder="little").view("<u8")[..., 0]

    def field(name: str) -> np.ndarray:
        low, width = fmt.fields[name]
        return ((words >> np.uint64(low)) & np.uint64((1 << width) - 1)).astype(np.int64)

    def signed(name: str) -> np.ndarray:
        half = 1 << (fmt.fields[name][1] - 1)
        return ((field(name) ^ half) - half).astype(np.int8)

    coefs = np.stack([signed(f"q{i}") for i in range(fmt.p)], axis=-1)
    return CompressedMatrix(fmt, (rows, cols), field("seed").astype(np.uint32), signed("exponent"), coefs,
                            exponent_bias)
