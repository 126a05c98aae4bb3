"""The integer controls: rounding and packing by hand, products against fractions, scales against all others."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.integers import (
    GroupMatrix,
    accumulate,
    factor,
    greatest_scales,
    matvec,
    nearest_codes,
    quantise,
    searched_scales,
)
from golden.spec import INT3, INT4, INT8, GroupFormat
from tests.golden.reference import to_24_bits

SMALL = GroupFormat(c=2, bits=3)
TINY = 2.0**-24


def halves(*bits: int) -> np.ndarray:
    return np.array(bits, np.uint16).view(np.float16)


def random_matrix(fmt: GroupFormat, rows: int, cols: int, seed: int = 0) -> GroupMatrix:
    rng = np.random.default_rng([rows, cols, seed])
    codes = rng.integers(fmt.code_min, fmt.code_max + 1, (rows, cols), dtype=np.int8)
    scales = rng.integers(0, 0x7C00, (rows, fmt.groups(cols)), np.uint16) | rng.integers(
        0, 2, (rows, fmt.groups(cols)), np.uint16) << 15
    return GroupMatrix(fmt, codes, scales.view(np.float16))


def relative_error(matrix: GroupMatrix, weights: np.ndarray) -> float:
    return float(np.linalg.norm(matrix.weights() - weights) / np.linalg.norm(weights))


def least_errors(groups: np.ndarray, bits: int) -> np.ndarray:
    """The least squared error of each group that any real scale has: as a scale falls from infinity, codes change one
    by one, and the codes between two changes have a best scale by least squares."""
    top, gains = (1 << (bits - 1)) - 1, np.zeros(len(groups))
    for signed in (groups, -groups):
        magnitude, limit = np.abs(signed), np.where(signed >= 0, top, top + 1)
        steps = [np.where(k <= limit, magnitude, 0) for k in range(1, top + 2)]
        at = np.concatenate([step / (k - 0.5) for k, step in enumerate(steps, 1)], axis=1)
        both = np.concatenate(steps, axis=1)
        square = np.concatenate([(2 * k - 1) * (step > 0) for k, step in enumerate(steps, 1)], axis=1)
        order = np.argsort(-at, axis=1)
        products, squares = (np.take_along_axis(each, order, 1).cumsum(axis=1) for each in (both, square))
        gains = np.maximum(gains, (products**2 / squares).max(axis=1))
    return np.square(groups).sum(axis=1) - gains


def test_rounding_by_hand() -> None:
    """Greatest magnitude 7: scale 1. Greatest 3.5: scale one half. Halves go to the even code."""
    groups = np.array([[7.0, -6.5, 5.5, 0.4, -0.6, 0.0], [-3.5, 1.25, 1.75, -0.2, 0.25, 3.0], [0.0] * 6])
    scales = greatest_scales(groups, 4)
    codes = nearest_codes(groups, scales, 4)
    assert codes.tolist() == [[7, -6, 6, 0, -1, 0], [-7, 2, 4, 0, 0, 6], [0] * 6]
    assert (scales.tolist(), codes.dtype, scales.dtype) == ([1.0, 0.5, 0.0], np.int8, np.float16)
    assert nearest_codes(np.array([[3.0, -2.0, 0.4]]), np.ones(1, np.float16), 3).tolist() == [[3, -2, 0]]
    assert nearest_codes(np.array([[8.0, -8.0, 1.4]]), -np.ones(1, np.float16), 4).tolist() == [[-8, 7, -1]]


def test_scales_at_the_ends_of_fp16() -> None:
    """7.6 least subnormals over 7 round to one: -7.6 takes the one code below -7, and 7.6 is cut off at 7."""
    groups = np.array([[-7.6 * TINY, 7.6 * TINY, TINY], [3.4 * TINY, 0, 0]])
    scales = greatest_scales(groups, 4)
    assert nearest_codes(groups, scales, 4).tolist() == [[-8, 7, 1], [0, 0, 0]]
    assert scales.tolist() == [TINY, 0.0]
    assert quantise(np.full((1, 3), 8 * TINY), INT4).weights().tolist() == [[8 * TINY] * 3]
    matrix = quantise(np.full((1, 3), 7 * 65504.0), INT4)
    assert matrix.weights().tolist() == [[7 * 65504.0] * 3]
    for search in (False, True):
        with pytest.raises(ValueError, match="scales contain NaN or infinity"):
            quantise(np.full((1, 3), 7 * 65520.0), INT4, search)


def test_a_negative_scale_by_hand() -> None:
    """8 needs the least code, -8, for which the scale is -1; -8 needs it under the scale 1."""
    weights = np.zeros((2, 128))
    weights[0, :9] = 8, 1, 2, 3, 4, 5, 6, 7, -7
    weights[1] = -weights[0]
    matrix = quantise(weights, INT4)
    assert matrix.scales.tolist() == [[-1.0], [1.0]]
    assert np.array_equal(matrix.weights(), weights)


def test_groups_of_a_row_have_their_own_scales() -> None:
    """The last group takes what is left of the row."""
    weights = np.zeros((2, 400))
    weights[0, :128], weights[0, 128:], weights[1, 399] = 0.5, [14, -2] * 136, 7 * 2.0**-20
    matrix = quantise(weights, INT4, search=False)
    assert matrix.scales.tolist() == [[float(np.float16(0.5 / 7)), 2.0, 2.0], [0.0, 0.0, 2.0**-20]]
    assert matrix.codes[0].tolist() == [7] * 128 + [7, -1] * 136
    assert matrix.weights()[1, 256:].tolist() == [0.0] * 143 + [7 * 2.0**-20]
    assert matrix.weights().shape == (2, 400)


@pytest.mark.parametrize(("fmt", "cols", "plain", "searched"), [
    (INT8, 1024, 0.0066, 0.0063), (INT4, 1024, 0.120, 0.0980), (INT4, 576, 0.122, 0.1000), (INT3, 1024, 0.280, 0.1880)])
def test_the_error_on_gaussian_weights(fmt: GroupFormat, cols: int, plain: float, searched: float) -> None:
    """The greatest magnitude of a normal group of 128 is 2.8 sigma on average."""
    weights = np.random.default_rng(0).normal(0, 0.02, (64, cols))
    assert 0.95 * plain < relative_error(quantise(weights, fmt, search=False), weights) < plain
    assert 0.95 * searched < relative_error(quantise(weights, fmt), weights) < searched


@pytest.mark.parametrize("bits", [3, 4])
def test_a_search_finds_nearly_the_best_of_all_scales(bits: int) -> None:
    rng = np.random.default_rng(bits)
    for groups, most in ((rng.normal(0, 0.02, (300, 128)), 1.001), (rng.standard_t(3, (300, 128)), 1.001),
                         (rng.uniform(-1, 1, (300, 200)), 1.005)):
        scales = searched_scales(groups, bits)
        error = np.square(nearest_codes(groups, scales, bits) * scales.astype(np.float64)[:, None] - groups).sum()
        least = least_errors(groups, bits).sum()
        assert least * (1 - 1e-9) <= error < most**2 * least


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(2, 8), st.integers(-30, 10), st.integers(0, 99))
def test_a_searched_scale_is_never_worse(cols: int, bits: int, exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.ldexp(rng.standard_t(2, (3, cols)).clip(-60, 60) * rng.integers(0, 2, (3, cols)), exponent)
    plain, searched = (np.square(nearest_codes(groups, scales, bits) * scales.astype(np.float64)[:, None] - groups)
                       for scales in (greatest_scales(groups, bits), searched_scales(groups, bits)))
    assert (searched.sum(axis=1) <= plain.sum(axis=1) * (1 + 1e-12)).all()


def test_blocks_by_hand() -> None:
    """Codes 1, 2, .. from the lowest bits on; scale 0xBC01 (-1 - 2**-10) has bits 0, 10, 11, 12, 13 and 15."""
    codes = np.array([[1, 2, 3, 4, 5, 6, 7, -8, -1]], np.int8)
    words = GroupMatrix(INT4, codes, halves(0xBC01)[None]).packed()
    assert words.shape == (1, 16)
    assert words[0].tolist() == [0x1_8765_4321, 0xF, *[0] * 8, *[1 << 32] * 4, 0, 1 << 32]
    small = GroupMatrix(SMALL, np.array([[-4, 3, 0, 1] + [0] * 61 + [-1]], np.int8), halves(0x0001, 0x4000)[None])
    assert small.packed()[0].tolist() == [0b1_011_100, 0b0_001_000, *[0] * 28, 0b1_000_000, 0, 0b111_000]


def test_a_product_by_hand() -> None:
    """Scales -1 and 3 * 2**-24 (a subnormal): -(3 - 2 * 8) + (5 + 7) * 3 * 2**-24. The second group has 17 blocks."""
    codes = np.zeros((1, 264), np.int8)
    codes[0, [0, 127, 128, 263]] = 3, -8, 5, 7
    matrix, x = GroupMatrix(INT4, codes, halves(0xBC00, 3)[None]), np.zeros(264, np.float16)
    x[[0, 127, 128, 263]] = 1, 2, 1, 1
    y = matvec(matrix, x)
    assert (y.dtype, y.shape) == (np.float32, (1,))
    assert y[0] == np.float32(13 + 36 * TINY)
    assert accumulate(matrix, x.astype(np.int64)).tolist() == [(13 << 24) + 36]


@pytest.mark.parametrize("fmt", [INT8, INT4, SMALL], ids=lambda fmt: fmt.name)
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
    """The widest matrix of the engine, all codes at their bound and all scales the greatest."""
    cols = 1 << 16
    scales = np.full((2, cols // 128), 65504, np.float16)
    scales[1] = -TINY
    for fmt in (INT4, INT8):
        least = fmt.code_min
        matrix = GroupMatrix(fmt, np.full((2, cols), least, np.int8), scales)
        x = np.full(cols, 32767)
        assert accumulate(matrix, x).tolist() == [least * 32767 * cols * 65504 << 24, -least * 32767 * cols]
        assert matvec(matrix, np.full(cols, 65504, np.float16)).tolist() == [
            float(np.float32(least * 65504.0 * 65504 * cols)), -least * 65504 * cols * TINY]


def test_zero_is_positive() -> None:
    matrix = GroupMatrix(INT4, np.array([[1, -1], [-1, 0], [1, 0]], np.int8), halves(0x3C00, 0, 0x8000)[:, None])
    assert matvec(matrix, np.ones(2, np.float16)).view(np.uint32).tolist() == [0, 0, 0]


def test_what_is_refused() -> None:
    codes, scales = np.zeros((2, 3), np.int8), np.ones((2, 1), np.float16)
    for bad_codes, bad_scales, message in (
            (codes, scales[:1], r"scales of a 2 x 3 matrix must have shape \(2, 1\), not \(1, 1\)"),
            (codes, scales.astype(np.float32), "scales must be float16, not float32"),
            (codes, scales * np.inf, "scales contain NaN or infinity"),
            (codes + np.int8(8), scales, r"codes must lie in -8..7, found 8..8"),
            (codes - np.int8(9), scales, r"codes must lie in -8..7, found -9..-9")):
        with pytest.raises(ValueError, match=message):
            GroupMatrix(INT4, bad_codes, bad_scales)
    with pytest.raises(ValueError, match="weights contain NaN or infinity"):
        quantise(np.array([[1.0, np.nan]]), INT4)
    with pytest.raises(ValueError, match=r"activations must have shape \(3,\), not \(2,\)"):
        matvec(GroupMatrix(INT4, codes, scales), np.ones(2, np.float16))
