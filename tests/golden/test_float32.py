"""The two roundings of the result path, against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from golden.float32 import round_to_24_bits, scaled
from tests.golden.reference import to_24_bits

ONE = np.float32(1)
LARGEST = (2**24 - 1) * 2**104


@pytest.mark.parametrize(("value", "wanted"), [
    (0, 0), (1, 1), (-1, -1), (2**24 - 1, 2**24 - 1), (2**24, 2**24),
    (2**24 + 1, 2**24), (2**24 + 3, 2**24 + 4), (-(2**24) - 1, -(2**24)), (-(2**24) - 3, -(2**24) - 4),  # ties
    (2**25 + 1, 2**25), (2**25 + 2, 2**25), (2**25 + 3, 2**25 + 4), (2**25 + 6, 2**25 + 8),
    (2**25 - 1, 2**25), (2**26 - 1, 2**26), (2**26 - 2, 2**26), (2**26 - 3, 2**26 - 4),  # carries
    ((2**24 + 1) << 40, 2**24 << 40), (((2**24 + 1) << 40) + 1, (2**24 + 2) << 40),  # a tie, and just above one
    (((2**24 + 3) << 40) - 1, (2**24 + 2) << 40)])
def test_known_integers(value: int, wanted: int) -> None:
    assert round_to_24_bits(value) == wanted


def random_integers(count: int) -> list[int]:
    rng = np.random.default_rng(count)
    found = []
    for _ in range(count):
        value = int.from_bytes(rng.bytes(12), "big") >> int(rng.integers(0, 96))
        # Half of them lie at a tie or next to one.
        value = (value | 1) << int(rng.integers(0, 30)) if rng.integers(2) else value
        found.append((value + int(rng.integers(-1, 2))) * int(rng.choice([-1, 1])))
    return found


def test_random_integers() -> None:
    for value in [*random_integers(2000), (2**30 - 1) << 900]:
        assert Fraction(round_to_24_bits(value)) == to_24_bits(Fraction(value))


def test_random_products() -> None:
    rng = np.random.default_rng(1)
    for value in random_integers(500):
        factor = np.float32(np.ldexp(rng.integers(2**23, 2**24), int(rng.integers(-149, -23))))
        power = int(rng.integers(0, 31))
        exact = to_24_bits(to_24_bits(Fraction(value)) * Fraction(float(factor)) * 2**power)
        found = scaled([value], factor, power)
        assert found.dtype == np.float32
        assert Fraction(float(found[0])) == min(max(exact, -LARGEST), LARGEST)


def test_random_scales_of_rows() -> None:
    """Rounded once, with the factor; a zero is +0, whatever the signs."""
    rng = np.random.default_rng(2)
    bits = rng.integers(0x0400, 0x7C00, 500).astype(np.uint16) | (rng.integers(0, 2, 500) << 15).astype(np.uint16)
    for value, scale in zip(random_integers(500), bits.view(np.float16), strict=True):
        power, shared = int(rng.integers(-126, 100)), int(rng.integers(0, 31))
        exact = to_24_bits(to_24_bits(Fraction(value)) * Fraction(float(scale)) * Fraction(2) ** (power + shared + 24))
        found = scaled([value], np.float32(2.0**power), shared, np.array([scale]))
        assert Fraction(float(found[0])) == min(max(exact, -LARGEST), LARGEST)
    zero = scaled([-3, 5, 0], ONE, 0, np.array([0.0, -0.0, -1.0], np.float16))
    assert zero.view(np.uint32).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("value", "factor", "power", "wanted"), [
    (3, 0.5, 1, 3.0), (-3, 0.5, 1, -3.0), (1, 2.0**-126, 1, 2.0**-125),
    (2**23 + 1, 1.5, 0, 1.5 * 2**23 + 2), (2**23 + 3, 1.5, 0, 1.5 * 2**23 + 4),  # second rounding: ties
    (2**24 + 1, 1.5, 0, 1.5 * 2**24),  # rounded once, it would be 2 more
    (2**24 - 1, 1 + 2.0**-23, 0, 2.0**24), (2**24 - 1, 1 + 2.0**-22, 0, 2.0**24 + 2),
    (2**22 + 1, 2 - 2.0**-22, 0, 2.0**23 + 1), (2**12 - 1, 2**12 + 1, 0, 2.0**24 - 1),
    (2**23, 2.0**104, 0, 2.0**127), (2**23, 2.0**104, 1, LARGEST), (-(2**23), 2.0**104, 1, -LARGEST),
    (2**24 - 1, 2.0**104, 0, LARGEST), (2**25 - 1, 2.0**103, 0, LARGEST), (2**80, 2.0**126, 30, LARGEST)])
def test_known_products(value: int, factor: float, power: int, wanted: float) -> None:
    assert scaled([value], np.float32(factor), power).tolist() == [wanted]


def test_zero_is_positive() -> None:
    found = scaled([0, -0, 5 - 5], ONE, 3)
    assert found.view(np.uint32).tolist() == [0, 0, 0]


def test_bits_of_a_few() -> None:
    found = scaled([1, -2, 2**24 + 3, 10**40], ONE, 0)
    assert found.view(np.uint32).tolist() == [0x3F800000, 0xC0000000, 0x4B800002, 0x7F7FFFFF]
