"""Blocks as bits: every field's place by integers worked out by hand, and what a matrix of blocks must satisfy."""

import numpy as np
import pytest

from golden.block import CompressedMatrix, pack, unpack
from golden.spec import SEEDLM3, SEEDLM4, BlockFormat

ODD = BlockFormat(c=5, p=2, k=7, coef_bits=3)
WIDE = BlockFormat(c=256, p=8, k=24)

KNOWN = [
    (SEEDLM4, 0xBEEF, -3, (-8, 7, -1), 0xF_7_8_D_BEEF),
    (SEEDLM4, 1, 0, (0, 0, 0), 1),
    (SEEDLM4, 0xFFFF, -1, (-1, -1, -1), 0xFFFFFFFF),
    (SEEDLM4, 0x8000, -8, (-8, -8, -8), 0x88888000),
    (SEEDLM3, 0x1234, 5, (1, -2, 3, -4), 0xC_3_E_1_5_1234),
    (ODD, 0b1010101, -1, (-4, 3), 0b011_100_1111_1010101),
    (ODD, 0b0000001, 6, (1, -2), 0b110_001_0110_0000001),
    (BlockFormat(6, 3, 8, 2), 0x5A, 7, (-2, 1, -1), 0b11_01_10_0111_01011010),
    (WIDE, 0xABCDEF, -7, (0, 1, 2, 3, -4, -3, -2, -1), 0xF_E_D_C_3_2_1_0_9_ABCDEF),
]


@pytest.mark.parametrize(("fmt", "seed", "exponent", "coefs", "word"), KNOWN)
def test_known_words(fmt: BlockFormat, seed: int, exponent: int, coefs: tuple[int, ...], word: int) -> None:
    packed = pack(fmt, np.array([seed], np.uint32), np.array([exponent], np.int8), np.array([coefs], np.int8))
    assert packed.tolist() == [word]
    seeds, exponents, codes = unpack(fmt, np.array([word], dtype=object))
    assert (seeds.dtype, exponents.dtype, codes.dtype) == (np.uint32, np.int8, np.int8)
    assert (seeds.tolist(), exponents.tolist(), codes.tolist()) == ([seed], [exponent], [list(coefs)])


def random_fields(fmt: BlockFormat, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(fmt.block_bits)
    return (rng.integers(1, fmt.seeds, shape, np.uint32, endpoint=True), rng.integers(-8, 8, shape, np.int8),
            rng.integers(fmt.coef_min, fmt.coef_max + 1, (*shape, fmt.p), np.int8))


@pytest.mark.parametrize("shape", [(), (7,), (5, 9)])
@pytest.mark.parametrize("fmt", [SEEDLM4, SEEDLM3, ODD, WIDE], ids=lambda fmt: fmt.name)
def test_round_trip(fmt: BlockFormat, shape: tuple[int, ...]) -> None:
    fields = random_fields(fmt, shape)
    words = pack(fmt, *fields)
    assert words.shape == shape
    assert all(0 <= word < 1 << fmt.block_bits for word in words.ravel())
    for found, wanted in zip(unpack(fmt, words), fields, strict=True):
        assert np.array_equal(found, wanted)


def test_a_matrix_packs_block_by_block() -> None:
    fields = random_fields(SEEDLM3, (3, 2))
    matrix = CompressedMatrix(SEEDLM3, (3, 13), *fields)
    assert matrix.exponent_bias == 0
    assert matrix.packed().tolist() == [[int(pack(SEEDLM3, *(field[r, b] for field in fields)).item())
                                         for b in range(2)] for r in range(3)]


@pytest.mark.parametrize(("name", "value", "message"), [
    ("seeds", 0, "seeds must lie in 1..65535, found 0..1"), ("seeds", 65536, "seeds must lie in 1..65535, found 1..65"),
    ("exponents", -9, r"exponents must lie in -8..7, found -9..0"), ("exponents", 8, "exponents must lie in -8..7"),
    ("coefs", -9, r"coefs must lie in -8..7, found -9..0"), ("coefs", 8, r"coefs must lie in -8..7, found 0..8")])
def test_fields_out_of_range(name: str, value: int, message: str) -> None:
    fields = {"seeds": np.ones((2, 3), np.uint32), "exponents": np.zeros((2, 3), np.int8),
              "coefs": np.zeros((2, 3, 3), np.int8)}
    fields[name].flat[-1] = value
    with pytest.raises(ValueError, match=message):
        CompressedMatrix(SEEDLM4, (2, 24), **fields)


@pytest.mark.parametrize(("cols", "name"), [(24, None), (17, None), (16, "seeds"), (25, "seeds")])
def test_blocks_must_cover_the_columns(cols: int, name: str | None) -> None:
    fields = np.ones((2, 3), np.uint32), np.zeros((2, 3), np.int8), np.zeros((2, 3, 3), np.int8)
    if name is None:
        assert CompressedMatrix(SEEDLM4, (2, cols), *fields).weights().shape == (2, cols)
    else:
        with pytest.raises(ValueError, match=rf"{name} of a 2 x {cols} matrix must have shape \(2, [24]\), not"):
            CompressedMatrix(SEEDLM4, (2, cols), *fields)


@pytest.mark.parametrize("name", ["seeds", "exponents", "coefs"])
def test_arrays_of_the_wrong_shape(name: str) -> None:
    fields = {"seeds": np.ones((2, 3), np.uint32), "exponents": np.zeros((2, 3), np.int8),
              "coefs": np.zeros((2, 3, 3), np.int8)}
    fields[name] = fields[name][..., :2]
    with pytest.raises(ValueError, match=f"{name} of a 2 x 24 matrix must have shape"):
        CompressedMatrix(SEEDLM4, (2, 24), **fields)
