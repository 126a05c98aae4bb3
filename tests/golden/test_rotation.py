"""The rotation of inputs against butterflies, a shift register of bits, and the product that it must not change."""

from fractions import Fraction

import numpy as np
import pytest

from golden.rotation import GROWTH, SEED, SHIFT, restored_weights, rotated_inputs, rotated_weights, signs


def butterflies(x: list[int]) -> list[int]:
    """H x of one block, by additions and subtractions of pairs."""
    distance = 1
    while distance < len(x):
        x = [x[i - distance] - x[i] if i & distance else x[i] + x[i + distance] for i in range(len(x))]
        distance *= 2
    return x


def test_inputs_are_rotated_by_additions_alone() -> None:
    x = np.random.default_rng(0).integers(-32767, 32768, (2, 192))
    flipped = (x * signs(192)).tolist()
    wanted = [[sum_ for start in (0, 64, 128) for sum_ in butterflies(row[start:start + 64])] for row in flipped]
    assert rotated_inputs(x).tolist() == wanted


def test_signs_are_the_output_of_the_lfsr() -> None:
    bits = [SEED >> n & 1 for n in range(16)]
    while len(bits) < 200:
        bits.append(bits[-16] ^ bits[-15] ^ bits[-13] ^ bits[-4])
    assert signs(200).tolist() == [-1 if bit else 1 for bit in bits]
    assert signs(5).tolist() == signs(200)[:5].tolist()


def test_the_product_is_the_same() -> None:
    """Exactly: of these weights, sums of float64 have no rounding."""
    rng = np.random.default_rng(1)
    weights, x = rng.integers(-100, 101, (3, 128)), rng.integers(-32767, 32768, 128)
    rotated, inputs = rotated_weights(weights), rotated_inputs(x)
    for row, before in zip(rotated.tolist(), weights @ x, strict=True):
        total = sum(Fraction(weight) * value for weight, value in zip(row, inputs.tolist(), strict=True))
        assert total / 2**SHIFT == int(before)
    assert np.square(rotated).sum() == np.square(weights).sum()
    assert np.array_equal(restored_weights(rotated), weights)


def test_greatest_inputs() -> None:
    """GROWTH bits more are needed, and enough."""
    assert np.abs(rotated_inputs(np.int64(32767) * signs(64))).max() == 32767 << GROWTH


@pytest.mark.parametrize("columns", [63, 100])
def test_odd_widths_are_refused(columns: int) -> None:
    with pytest.raises(ValueError, match=f"a rotation takes a multiple of 64 columns, not {columns}"):
        rotated_inputs(np.zeros(columns, int))
    with pytest.raises(ValueError, match=f"a rotation takes a multiple of 64 columns, not {columns}"):
        rotated_weights(np.zeros((2, columns)))
    with pytest.raises(ValueError, match=f"a rotation takes a multiple of 64 columns, not {columns}"):
        restored_weights(np.zeros((2, columns)))


def test_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="rotated inputs are integers, not float64"):
        rotated_inputs(np.zeros(64))
