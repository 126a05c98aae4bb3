"""Block floating point, against its rule in exact fractions and against vectors worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest

from golden.activations import fp16_fields, lsb_exponent, require_finite, to_block_floating_point

TINY = 2.0**-24  # the least subnormal
NORMAL = 2.0**-14  # the least normal number


def halves(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float16)


KNOWN = [
    (halves(1.0), 16, [16384], 15),
    (halves(-1.0), 16, [-16384], 15),
    (halves(1.0, -0.5, 1.5), 16, [16384, -8192, 24576], 15),
    (halves(65504, -65504), 16, [32752, -32752], 30),
    (halves(0.0, -0.0, 0.0), 16, [0, 0, 0], 1),
    (halves(TINY), 16, [16], 1),
    (halves(-TINY, 1023 * TINY, NORMAL), 16, [-16, 16368, 16384], 1),
    (halves(2 * NORMAL, NORMAL, TINY), 16, [16384, 8192, 8], 2),
    (halves(1.0, TINY), 16, [16384, 0], 15),  # 2**-10 of a unit
    (halves(65504, TINY), 16, [32752, 0], 30),
    # Five binades below the greatest one bit is lost: 1025/2, 1027/2 and 1026/2.
    (halves(32.0, 1025 / 1024, 1027 / 1024, -1025 / 1024, -1027 / 1024, 1026 / 1024), 16,
     [16384, 512, 514, -512, -514, 513], 20),
    # Six binades below, two bits: 1025/4, 1026/4, 1027/4, 1030/4.
    (halves(64.0, 1025 / 1024, 1026 / 1024, 1027 / 1024, 1030 / 1024), 16, [16384, 256, 256, 257, 258], 21),
    (halves(65504, -65504, 32768), 8, [127, -127, 64], 30),  # 127.9 saturates
    (halves(1.0, 1 + 1 / 128, 1 + 3 / 128), 8, [64, 64, 66], 15),  # ties: 64.5 and 65.5
    (halves(2047 / 1024, 2039 / 1024), 8, [127, 127], 15),  # 127.9 saturates, 127.4 is rounded
    (halves(), 16, [], 1),
]


@pytest.mark.parametrize(("x", "bits", "elements", "shared"), KNOWN)
def test_known_vectors(x: np.ndarray, bits: int, elements: list[int], shared: int) -> None:
    found = to_block_floating_point(x, bits)
    assert (found[0].tolist(), found[1]) == (elements, shared)
    assert found[0].dtype == np.int64


def reference(x: np.ndarray, bits: int) -> tuple[list[int], int]:
    """The rule in the module's words, one element after another."""
    shared = max([1, *(int(value.view(np.uint16)) >> 10 & 31 for value in x)])
    elements = []
    for value in x:
        exact = Fraction(float(value)) / Fraction(2) ** (shared - 13 - bits)
        elements.append(min(max(round(exact), 1 - 2 ** (bits - 1)), 2 ** (bits - 1) - 1))  # round: ties to even
    return elements, shared


@pytest.mark.parametrize("bits", [16, 12, 8])
def test_random_vectors(bits: int) -> None:
    rng = np.random.default_rng(bits)
    for top in (0x7C00, 0x7C00, 0x4000, 0x0C00, 0x0400, 0x0001):
        patterns = (rng.integers(0, top, 200) | rng.integers(0, 2, 200) << 15).astype(np.uint16)
        for x in (patterns.view(np.float16), np.sort(patterns).view(np.float16)[:3]):
            elements, shared = to_block_floating_point(x, bits)
            assert (elements.tolist(), shared) == reference(x, bits)


def test_sixteen_bits_are_the_default() -> None:
    x = halves(1.0, 1 / 3, -0.001)
    assert to_block_floating_point(x)[0].tolist() == reference(x, 16)[0]
    assert lsb_exponent(15) == -14
    assert lsb_exponent(0) == -29
    assert lsb_exponent(30, 8) == 9


def test_every_finite_half_is_its_fields() -> None:
    values = np.concatenate([np.arange(0x7C00), np.arange(0x8000, 0xFC00)]).astype(np.uint16).view(np.float16)
    significand, field = fp16_fields(values)
    assert (significand.dtype, field.dtype) == (np.int64, np.int64)
    assert (field.min(), field.max()) == (1, 30)
    assert np.abs(significand).max() == 2047
    assert np.array_equal(np.ldexp(significand.astype(np.float64), field - 25), values.astype(np.float64))


def test_what_is_refused() -> None:
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="activations contain NaN or infinity"):
            to_block_floating_point(halves(1.0, value))
    for dtype in (np.float32, np.float64, np.int16, ">f2"):
        with pytest.raises(ValueError, match="activations must be float16, not"):
            to_block_floating_point(np.zeros(2, dtype))
    with pytest.raises(ValueError, match="weights must be float16, not int8"):
        require_finite(np.zeros(2, np.int8), "weights")
