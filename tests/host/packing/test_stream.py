"""Packed streams and the fast decoder, for any format, against golden and the image that the engine reads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.block import CompressedMatrix
from golden.layout import StreamLayout
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat
from host.packing import decode
from host.packing.image import weight_image
from host.packing.stream import group_bytes, lanes, pack_rows, stream_bytes, unpack_rows

FORMATS = st.builds(BlockFormat, c=st.integers(1, 256), p=st.integers(1, 8), k=st.integers(2, 12),
                    coef_bits=st.integers(2, 4))


@st.composite
def matrices(draw: st.DrawFn) -> CompressedMatrix:
    """Random fields, the extreme ones often among them."""
    fmt, rows, cols = draw(FORMATS), draw(st.integers(1, 40)), draw(st.integers(1, 600))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    blocks = -(-cols // fmt.c)

    def field(low: int, high: int, *shape: int) -> np.ndarray:
        values = rng.integers(low, high + 1, shape)
        return np.where(rng.random(shape) < 0.2, rng.choice([low, high], shape), values)

    return CompressedMatrix(fmt, (rows, cols), field(1, fmt.seeds, rows, blocks).astype(np.uint32),
                            field(EXP_MIN, EXP_MAX, rows, blocks).astype(np.int8),
                            field(fmt.coef_min, fmt.coef_max, rows, blocks, fmt.p).astype(np.int8),
                            draw(st.integers(-64, 64)))


def same(a: CompressedMatrix, b: CompressedMatrix) -> bool:
    return (a.fmt, a.shape, a.exponent_bias) == (b.fmt, b.shape, b.exponent_bias) and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("seeds", "exponents", "coefs"))


@settings(max_examples=60, deadline=None)
@given(matrices())
def test_a_stream_is_the_weight_image_and_comes_back(matrix: CompressedMatrix) -> None:
    stream, image = pack_rows(matrix), weight_image(matrix, StreamLayout(matrix.fmt))
    assert len(image) == stream_bytes(matrix.fmt, matrix.shape)
    assert image == stream + bytes(len(image) - len(stream))
    back = unpack_rows(np.frombuffer(image, np.uint8), matrix.fmt, matrix.shape, matrix.exponent_bias)
    assert same(back, matrix)


@settings(max_examples=30, deadline=None)
@given(matrices(), st.integers(0, 3))
def test_groups_of_rows_can_be_packed_by_themselves(matrix: CompressedMatrix, groups: int) -> None:
    cut = min(groups * lanes(matrix.fmt), matrix.shape[0])
    parts = [CompressedMatrix(matrix.fmt, (stop - start, matrix.shape[1]), matrix.seeds[start:stop],
                              matrix.exponents[start:stop], matrix.coefs[start:stop], matrix.exponent_bias)
             for start, stop in ((0, cut), (cut, matrix.shape[0])) if start < stop]
    assert b"".join(map(pack_rows, parts)) == pack_rows(matrix)
    assert len(pack_rows(parts[0])) % group_bytes(matrix.fmt, matrix.shape[1]) == 0


@settings(max_examples=40, deadline=None)
@given(matrices())
def test_the_fast_decoder_agrees_with_golden(matrix: CompressedMatrix) -> None:
    assert np.array_equal(decode.numerators(matrix), matrix.numerators())
    assert np.array_equal(decode.weights(matrix), matrix.weights())


def test_the_fast_decoder_of_the_longest_register() -> None:
    fmt = BlockFormat(8, 3, 18)
    seeds = np.array([[1, 2, fmt.seeds, fmt.offset]], dtype=np.uint32)
    matrix = CompressedMatrix(fmt, (1, 32), seeds, np.zeros((1, 4), np.int8), np.full((1, 4, 3), -8, np.int8))
    assert np.array_equal(decode.numerators(matrix), matrix.numerators())


def test_a_stream_cut_short_or_with_seed_zero_is_refused() -> None:
    fmt = BlockFormat(8, 3, 8)
    content = np.zeros(stream_bytes(fmt, (3, 20)), np.uint8)
    with pytest.raises(ValueError, match=r"seeds must lie in 1..255, found 0"):
        unpack_rows(content, fmt, (3, 20), 0)
    with pytest.raises(ValueError, match="bytes make 3 x 20 weights, not"):
        unpack_rows(content[:9], fmt, (3, 20), 0)
