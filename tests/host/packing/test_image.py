"""Memory images against bits put together one block at a time with Python's integers."""

import numpy as np
import pytest

from golden.block import CompressedMatrix
from golden.integers import GroupMatrix
from golden.layout import StreamLayout
from golden.spec import (
    FP16,
    INT3,
    INT4,
    INT8,
    SEEDLM3,
    SEEDLM4,
    SEEDLM4R,
    TRELLIS2,
    TRELLIS3,
    TRELLIS4,
    BlockFormat,
    GroupFormat,
    TrellisFormat,
    WeightFormat,
)
from golden.trellis.matrix import TrellisMatrix
from host.packing.image import StoredMatrix, activation_image, image_bytes, weight_image
from sim.device.random_operands import random_group_matrix, random_matrix, random_weights

ODD = BlockFormat(c=5, p=2, k=7, coef_bits=3)
LONG = BlockFormat(c=16, p=8, k=24)


def interleaved(words: list[list[int]], padding: int, width: int, lanes: int, bus_bits: int) -> bytes:
    """Words of ``width`` bits, least significant bit first: of ``lanes`` rows the first column, then the second."""
    stream, length = 0, 0
    for group in range(0, len(words), lanes):
        for column in range(len(words[0])):
            for row in range(group, group + lanes):
                stream |= (words[row][column] if row < len(words) else padding) << length
                length += width
    beats = -(-length // bus_bits)
    return stream.to_bytes(beats * bus_bits // 8, "little")


@pytest.mark.parametrize(("fmt", "bus_bits", "lanes", "zero"), [
    (SEEDLM4, 512, 16, 0x00080001), (SEEDLM4, 64, 2, 0x00080001), (SEEDLM4, 32, 1, 0x00080001),
    (SEEDLM3, 512, 16, 0x000080001), (SEEDLM3, 64, 2, 0x000080001), (SEEDLM3, 32, 1, 0x000080001),
    (ODD, 512, 32, 0x401), (ODD, 64, 4, 0x401), (ODD, 32, 2, 0x401), (LONG, 32, 1, 0x8000001)],
    ids=lambda value: value.name if isinstance(value, BlockFormat) else str(value))
def test_weight_images(fmt: BlockFormat, bus_bits: int, lanes: int, zero: int) -> None:
    """A zero block has seed 1, the register's only forbidden state being 0, the least exponent and no coefficients."""
    layout = StreamLayout(fmt, bus_bits)
    assert layout.lanes == lanes
    for rows, blocks in ((1, 1), (lanes, 2), (lanes + 1, 3), (3 * lanes - 1, 5)):
        matrix = random_matrix(fmt, rows, blocks * fmt.c - 1, np.random.default_rng(rows))
        wanted = interleaved(matrix.packed().tolist(), zero, fmt.block_bits, lanes, bus_bits)
        assert weight_image(matrix, layout) == wanted


@pytest.mark.parametrize(("fmt", "zero"), [(SEEDLM4R, 1), (TRELLIS4, 0), (TRELLIS3, 0), (TRELLIS2, 0)],
                         ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("bus_bits", [512, 32])
def test_heads_come_first(fmt: BlockFormat | TrellisFormat, zero: int, bus_bits: int) -> None:
    layout = StreamLayout(fmt, bus_bits)
    for rows, cols in ((1, 1), (layout.lanes + 1, 3 * fmt.c - 1)):
        matrix = random_weights(fmt, rows, cols, np.random.default_rng(rows))
        assert isinstance(matrix, CompressedMatrix | TrellisMatrix)
        words = matrix.packed().tolist()
        assert [word[0] & 0xFFFF for word in words] == matrix.scales.view(np.uint16).tolist()
        # Rows of padding have heads of zeros too.
        while len(words) % layout.lanes:
            words.append([0] + [zero] * (len(words[0]) - 1))
        assert weight_image(matrix, layout) == interleaved(words, 0, fmt.block_bits, layout.lanes, bus_bits)
        assert image_bytes(layout, matrix.shape) == len(weight_image(matrix, layout))


def test_a_stored_image_is_used_where_it_fits() -> None:
    """Its file is laid out for the default bus; on another the image is made from the fields."""
    made = random_matrix(SEEDLM4, 5, 16, np.random.default_rng(0))
    fields = made.fmt, made.shape, made.seeds, made.exponents, made.coefs
    stored = StoredMatrix(*fields, stream=np.arange(128, dtype=np.uint8))
    assert weight_image(stored, StreamLayout(SEEDLM4)) == bytes(range(128))
    assert weight_image(stored, StreamLayout(SEEDLM4, 64)) == weight_image(made, StreamLayout(SEEDLM4, 64))
    assert weight_image(StoredMatrix(*fields), StreamLayout(SEEDLM4)) == weight_image(made, StreamLayout(SEEDLM4))


def test_a_weight_image_by_hand() -> None:
    """Two rows of two 36-bit blocks on a 64-bit bus: 144 bits in three beats."""
    matrix = CompressedMatrix(SEEDLM3, (2, 24), np.array([[0x1111, 0x2222], [0x3333, 0x4444]], np.uint32),
                              np.array([[0, 1], [2, -1]], np.int8), np.array([[[1, 2, 3, 4]] * 2] * 2, np.int8))
    assert weight_image(matrix, StreamLayout(SEEDLM3, 64)) == sum(
        word << 36 * place for place, word in enumerate((0x432101111, 0x432123333, 0x432112222, 0x4321F4444))
    ).to_bytes(24, "little")


@pytest.mark.parametrize(("fmt", "bus_bits", "lanes"), [
    (INT8, 512, 8), (INT4, 512, 16), (INT3, 512, 32), (INT8, 64, 1), (INT4, 64, 2), (INT4, 32, 1),
    (GroupFormat(c=3, bits=3), 64, 8)])
def test_images_of_codes_and_scales(fmt: GroupFormat, bus_bits: int, lanes: int) -> None:
    """Padding is zeros all over."""
    layout = StreamLayout(fmt, bus_bits)
    assert layout.lanes == lanes
    group, c = fmt.group, fmt.c
    for rows, cols in ((1, 1), (lanes, group), (2, group + 1), (1, 2 * group - c), (2 * lanes + 1, 9 * group // 2)):
        matrix = random_group_matrix(fmt, rows, cols, np.random.default_rng(rows))
        words = matrix.packed().tolist()
        assert len(words[0]) == max(-(-cols // c), 16) == layout.blocks(cols)
        assert weight_image(matrix, layout) == interleaved(words, 0, fmt.block_bits, lanes, bus_bits)


def test_an_int4_image_by_hand() -> None:
    """One row on a 32-bit bus: 16 blocks of 33 bits in 17 beats, the ninth bit of a scale of 2**-7 among them."""
    codes = np.zeros((1, 16), np.int8)
    codes[0, :8], codes[0, 8:] = (1, 2, 3, 4, 5, 6, 7, -8), -1
    matrix = GroupMatrix(INT4, codes, np.array([[2.0**-7]], np.float16))
    assert weight_image(matrix, StreamLayout(INT4, 32)) == (
        0x87654321 | 0xFFFFFFFF << 33 | 1 << 13 * 33 + 32).to_bytes(68, "little")


@pytest.mark.parametrize(("fmt", "cols", "bits"), [
    (INT4, 576, 4.125), (INT4, 4096, 4.125), (INT4, 192, 4.125), (INT4, 128, 4.125), (INT4, 64, 8.25),
    (INT8, 576, 8.125), (INT8, 4096, 8.125), (INT3, 576, 3.125), (INT3, 4096, 3.125), (SEEDLM4, 576, 4.0)])
def test_bits_for_a_weight(fmt: WeightFormat, cols: int, bits: float) -> None:
    """Groups of integers are not padded; only rows shorter than a group are."""
    assert 8 * image_bytes(StreamLayout(fmt), (192, cols)) / (192 * cols) == bits


@pytest.mark.parametrize("bus_bits", [32, 64, 512])
def test_fp16_images(bus_bits: int) -> None:
    layout = StreamLayout(FP16, bus_bits)
    lanes = layout.lanes
    assert lanes == bus_bits // 16
    for rows, cols in ((1, 1), (lanes, 3), (2 * lanes + 1, 5)):
        bits = np.random.default_rng([rows, cols]).integers(0, 0x7C00, (rows, cols), np.uint16)
        wanted = interleaved(bits.tolist(), 0, 16, lanes, bus_bits)
        assert weight_image(bits.view(np.float16), layout) == wanted
        assert weight_image(np.asfortranarray(bits).view(np.float16), layout) == wanted


@pytest.mark.parametrize(("fmt", "bus_bits", "cols", "size"), [
    (SEEDLM4, 512, 1, 64), (SEEDLM4, 512, 32, 64), (SEEDLM4, 512, 33, 128), (SEEDLM3, 512, 25, 128),
    (SEEDLM3, 32, 13, 48), (ODD, 32, 6, 20), (FP16, 64, 5, 16),
    (INT4, 512, 1, 256), (INT4, 64, 129, 272)])
def test_activation_images(fmt: WeightFormat, bus_bits: int, cols: int, size: int) -> None:
    x = np.random.default_rng(cols).normal(size=cols).astype(np.float16)
    image = activation_image(x, StreamLayout(fmt, bus_bits))
    assert image == b"".join(int(bits).to_bytes(2, "little") for bits in x.view(np.uint16)).ljust(size, b"\0")
