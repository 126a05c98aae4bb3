"""The FP16 baseline: exact sums against fractions, one rounding."""

from fractions import Fraction

import numpy as np
import pytest

from golden.fp16 import FACTOR, accumulate, matvec
from tests.golden.reference import to_24_bits

MAX, TINY = 65504.0, 2.0**-24


def random_halves(shape: tuple[int, ...], top: int = 0x7C00, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([*shape, top, seed])
    return (rng.integers(0, top, shape) | rng.integers(0, 2, shape) << 15).astype(np.uint16).view(np.float16)


def check(weights: np.ndarray, x: np.ndarray) -> None:
    sums, y = accumulate(weights, x), matvec(weights, x)
    assert (y.shape, y.dtype) == ((len(weights),), np.float32)
    for row, total, result in zip(weights, sums, y, strict=True):
        exact = sum((Fraction(float(w)) * Fraction(float(v)) for w, v in zip(row, x, strict=True)), Fraction(0))
        assert total == exact * 2**48
        assert Fraction(float(result)) == to_24_bits(exact)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 64), (300, 2)])
def test_random_products(shape: tuple[int, int]) -> None:
    check(random_halves(shape), random_halves(shape[1:], seed=1))


@pytest.mark.parametrize("tops", [(0x0400, 0x0400), (0x0400, 0x7C00), (0x7C00, 0x0400), (0x3C00, 0x3C00)])
def test_subnormals_and_small_numbers(tops: tuple[int, int]) -> None:
    check(random_halves((4, 33), tops[0]), random_halves((33,), tops[1], seed=1))


def test_extremes() -> None:
    assert FACTOR.dtype == np.float32
    assert float(FACTOR) == 2.0**-48
    values = np.array([TINY, -TINY, 2.0**-14, 1.0, MAX, -MAX, 0.0, -0.0], dtype=np.float16)
    for value in values:
        check(values[:, None], np.array([value]))


def test_cancellation_leaves_the_least_product() -> None:
    weights = np.array([[MAX, TINY, MAX]], dtype=np.float16)
    assert matvec(weights, np.array([MAX, TINY, -MAX], dtype=np.float16)).tolist() == [2.0**-48]


def test_zero_is_positive() -> None:
    zeros = np.array([[-0.0, 1.0, -1.0]], dtype=np.float16)
    assert matvec(zeros, np.array([1.0, 1.0, 1.0], dtype=np.float16)).view(np.uint32).tolist() == [0]
    assert matvec(-np.zeros((2, 3), np.float16), np.ones(3, np.float16)).view(np.uint32).tolist() == [0, 0]


def test_many_columns_do_not_overflow() -> None:
    """The widest matrix of the engine, every product the greatest, in each half of the range of shifts."""
    cols = 1 << 16
    for value, other in ((MAX, MAX), (2047 * 2.0**-10, 2047 * 2.0**-11)):
        weights, x = np.full((2, cols), value, np.float16), np.full(cols, other, np.float16)
        assert accumulate(weights, x).tolist() == [int(value * other * 2**48) * cols] * 2


def test_what_is_refused() -> None:
    weights, x = np.ones((2, 3), np.float16), np.ones(3, np.float16)
    for bad_weights, bad_x in ((weights, x[:2]), (weights, weights), (x, x), (weights, np.float16(1))):
        with pytest.raises(ValueError, match="do not make a matrix-vector product"):
            matvec(bad_weights, bad_x)
    with pytest.raises(ValueError, match="weights must be float16, not float32"):
        matvec(weights.astype(np.float32), x)
    with pytest.raises(ValueError, match="activations must be float16, not float32"):
        matvec(weights, x.astype(np.float32))
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="weights contain NaN or infinity"):
            matvec(np.full((2, 3), value, np.float16), x)
        with pytest.raises(ValueError, match="activations contain NaN or infinity"):
            matvec(weights, np.full(3, value, np.float16))
