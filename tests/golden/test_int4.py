"""The int4 control: rounding and packing by hand, products against fractions."""

from fractions import Fraction

import numpy as np
import pytest

from golden.int4 import GroupMatrix, accumulate, factor, matvec, nearest_codes, quantise
from golden.spec import INT4, GroupFormat
from tests.golden.reference import to_24_bits

SMALL = GroupFormat(c=2, bits=3)
TINY = 2.0**-24


def halves(*bits: int) -> np.ndarray:
    return np.array(bits, np.uint16).view(np.float16)


def random_matrix(fmt: GroupFormat, rows: int, cols: int, seed: int = 0) -> GroupMatrix:
    rng = np.random.default_rng([rows, cols, seed])
    codes = rng.integers(fmt.code_min, fmt.code_max + 1, (rows, cols), dtype=np.int8)
    return GroupMatrix(fmt, codes, rng.integers(0, 0x7C00, (rows, -(-cols // fmt.group)), np.uint16).view(np.float16))


def test_rounding_by_hand() -> None:
    """Greatest magnitude 7: scale 1. Greatest 3.5: scale one half. Halves go to the even code."""
    groups = np.array([[7.0, -6.5, 5.5, 0.4, -0.6, 0.0], [-3.5, 1.25, 1.75, -0.2, 0.25, 3.0], [0.0] * 6])
    codes, scales = nearest_codes(groups, 4)
    assert codes.tolist() == [[7, -6, 6, 0, -1, 0], [-7, 2, 4, 0, 0, 6], [0] * 6]
    assert (scales.tolist(), codes.dtype, scales.dtype) == ([1.0, 0.5, 0.0], np.int8, np.float16)
    assert nearest_codes(np.array([[3.0, -2.0, 0.4]]), 3)[0].tolist() == [[3, -2, 0]]


def test_scales_at_the_ends_of_fp16() -> None:
    """7.6 least subnormals over 7 round to one: -7.6 takes the one code below -7, and 7.6 is cut off at 7."""
    codes, scales = nearest_codes(np.array([[-7.6 * TINY, 7.6 * TINY, TINY], [3.4 * TINY, 0, 0]]), 4)
    assert codes.tolist() == [[-8, 7, 1], [0, 0, 0]]
    assert scales.tolist() == [TINY, 0.0]
    matrix = quantise(np.full((1, 3), 7 * 65504.0), INT4)
    assert (matrix.codes.tolist(), matrix.scales.tolist()) == ([[7, 7, 7]], [[65504.0]])
    with pytest.raises(ValueError, match="scales contain NaN or infinity"):
        quantise(np.full((1, 3), 7 * 65520.0), INT4)


def test_groups_of_a_row_have_their_own_scales() -> None:
    weights = np.zeros((2, 130))
    weights[0, :128], weights[0, 128:], weights[1, 129] = 0.5, [14, -2], 7 * 2.0**-20
    matrix = quantise(weights, INT4)
    assert matrix.scales.tolist() == [[float(np.float16(0.5 / 7)), 2.0], [0.0, 2.0**-20]]
    assert matrix.codes[0].tolist() == [7] * 128 + [7, -1]
    assert matrix.weights()[1, 128:].tolist() == [0.0, 7 * 2.0**-20]
    assert matrix.weights().shape == (2, 130)


def test_the_error_on_gaussian_weights() -> None:
    """Uniform rounding of a normal group of 128, whose greatest magnitude is 2.8 sigma on average."""
    weights = np.random.default_rng(0).normal(0, 0.02, (64, 1024))
    error = np.linalg.norm(quantise(weights, INT4).weights() - weights) / np.linalg.norm(weights)
    assert 0.105 < error < 0.125


def test_blocks_by_hand() -> None:
    """Codes 1, 2, .. from the lowest bits on; scale 0x3C01 (1 + 2**-10) has bits 0, 10, 11, 12 and 13."""
    codes = np.array([[1, 2, 3, 4, 5, 6, 7, -8, -1]], np.int8)
    words = GroupMatrix(INT4, codes, halves(0x3C01)[None]).packed()
    assert words.shape == (1, 16)
    assert words[0].tolist() == [0x1_8765_4321, 0xF, *[0] * 8, *[1 << 32] * 4, 0, 0]
    small = GroupMatrix(SMALL, np.array([[-4, 3, 0, 1] + [0] * 29], np.int8), halves(0x0001, 0x8000 >> 1)[None])
    assert small.packed()[0].tolist() == [0b1_011_100, 0b0_001_000, *[0] * 28, 0b1_000_000, 0]


def test_a_product_by_hand() -> None:
    """Scales 1 and 3 * 2**-24 (a subnormal): (3 - 2 * 8) + 5 * 3 * 2**-24."""
    codes = np.zeros((1, 129), np.int8)
    codes[0, [0, 127, 128]] = 3, -8, 5
    matrix, x = GroupMatrix(INT4, codes, halves(0x3C00, 3)[None]), np.zeros(129, np.float16)
    x[[0, 127, 128]] = 1, 2, 1
    y = matvec(matrix, x)
    assert (y.dtype, y.shape) == (np.float32, (1,))
    assert y[0] == np.float32(-13 + 15 * TINY)
    assert accumulate(matrix, x.astype(np.int64)).tolist() == [(-13 << 24) + 15]


@pytest.mark.parametrize("fmt", [INT4, SMALL], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("shape", [(1, 1), (5, 33), (3, 128), (4, 301)])
def test_random_products(fmt: GroupFormat, shape: tuple[int, int]) -> None:
    """Small integers as activations, which block floating point keeps as they are."""
    matrix = random_matrix(fmt, *shape)
    x = np.random.default_rng(1).integers(-2000, 2000, shape[1])
    weights = matrix.weights()
    exact = [sum((Fraction(w) * int(v) for w, v in zip(row, x, strict=True)), Fraction(0)) for row in weights.tolist()]
    assert accumulate(matrix, x).tolist() == [value * 2**24 for value in exact]
    y = matvec(matrix, x.astype(np.float16))
    assert [Fraction(value) for value in y.tolist()] == [to_24_bits(value) for value in exact]


def test_eight_bit_activations() -> None:
    """Beside 100, 8 bits hold whole numbers."""
    matrix = GroupMatrix(INT4, np.array([[1, -8]], np.int8), halves(0x3C00)[None])
    for x in ((100, 1), (100.4, 0.6)):
        assert matvec(matrix, np.array(x, np.float16), 8).tolist() == [92.0]
    assert float(factor(16)) == 2.0**-53
    assert float(factor(8)) == 2.0**-45


def test_extremes() -> None:
    """The widest matrix of the engine, all codes -8 and all scales the greatest."""
    cols = 1 << 16
    scales = np.full((2, cols // 128), 65504, np.float16)
    scales[1] = TINY
    matrix = GroupMatrix(INT4, np.full((2, cols), -8, np.int8), scales)
    x = np.full(cols, 32767)
    assert accumulate(matrix, x).tolist() == [-8 * 32767 * cols * 65504 << 24, -8 * 32767 * cols]
    assert matvec(matrix, np.full(cols, 65504, np.float16)).tolist() == [
        float(np.float32(-8 * 65504.0 * 65504 * cols)), -8 * 65504 * cols * TINY]


def test_zero_is_positive() -> None:
    matrix = GroupMatrix(INT4, np.array([[1, -1], [-1, 0]], np.int8), halves(0x3C00, 0)[:, None])
    assert matvec(matrix, np.ones(2, np.float16)).view(np.uint32).tolist() == [0, 0]


def test_what_is_refused() -> None:
    codes, scales = np.zeros((2, 3), np.int8), np.ones((2, 1), np.float16)
    for bad_codes, bad_scales, message in (
            (codes, scales[:1], r"scales of a 2 x 3 matrix must have shape \(2, 1\), not \(1, 1\)"),
            (codes, scales.astype(np.float32), "scales must be float16, not float32"),
            (codes, scales * np.inf, "scales contain NaN or infinity"),
            (codes, -scales, "scales must not be negative"), (codes, -0 * -scales, "scales must not be negative"),
            (codes + np.int8(8), scales, r"codes must lie in -8..7, found 8..8"),
            (codes - np.int8(9), scales, r"codes must lie in -8..7, found -9..-9")):
        with pytest.raises(ValueError, match=message):
            GroupMatrix(INT4, bad_codes, bad_scales)
    with pytest.raises(ValueError, match="weights contain NaN or infinity"):
        quantise(np.array([[1.0, np.nan]]), INT4)
    with pytest.raises(ValueError, match=r"activations must have shape \(3,\), not \(2,\)"):
        matvec(GroupMatrix(INT4, codes, scales), np.ones(2, np.float16))
