"""The rotation of inputs against butterflies, a shift register of bits, and the product that it must not change."""

from fractions import Fraction

import numpy as np
import pytest

from golden.activations import to_block_floating_point
from golden.block import CompressedMatrix
from golden.product import product, restored
from golden.rotation import SHIFT, restored_weights, rotated_inputs, rotated_weights, signs
from golden.spec import ACT_BITS, ROTATION_DROPPED, ROTATION_GROWTH, ROTATION_SEED, SEEDLM4
from tests.golden.reference import to_24_bits


def butterflies(x: list[int]) -> list[int]:
    """H x of one block, by additions and subtractions of pairs."""
    distance = 1
    while distance < len(x):
        x = [x[i - distance] - x[i] if i & distance else x[i] + x[i + distance] for i in range(len(x))]
        distance *= 2
    return x


def test_inputs_are_rotated_by_additions_and_rounded() -> None:
    x = np.random.default_rng(0).integers(-32767, 32768, (2, 192))
    flipped = (x * signs(192)).tolist()
    wanted = [[round(Fraction(total, 16)) for start in (0, 64, 128) for total in butterflies(row[start:start + 64])]
              for row in flipped]  # Python rounds fractions to even
    assert rotated_inputs(x).tolist() == wanted


def test_signs_are_the_output_of_the_lfsr() -> None:
    bits = [ROTATION_SEED >> n & 1 for n in range(16)]
    while len(bits) < 200:
        bits.append(bits[-16] ^ bits[-15] ^ bits[-13] ^ bits[-4])
    assert signs(200).tolist() == [-1 if bit else 1 for bit in bits]
    assert signs(5).tolist() == signs(200)[:5].tolist()


def test_the_product_is_the_same() -> None:
    """Exactly: of these weights, sums of float64 have no rounding, and of these inputs no bits are rounded off."""
    rng = np.random.default_rng(1)
    weights, x = rng.integers(-100, 101, (3, 128)), 16 * rng.integers(-2047, 2048, 128)
    rotated, inputs = rotated_weights(weights), rotated_inputs(x)
    for row, before in zip(rotated.tolist(), weights @ x, strict=True):
        total = sum(Fraction(weight) * value for weight, value in zip(row, inputs.tolist(), strict=True))
        assert total * 2**SHIFT == int(before)
    assert np.square(rotated).sum() == np.square(weights).sum()
    assert np.array_equal(restored_weights(rotated), weights)


def test_greatest_inputs() -> None:
    """They need ROTATION_GROWTH bits more, and no others."""
    greatest = np.abs(rotated_inputs(np.int64(32767) * signs(64))).max()
    assert greatest == 32767 * 64 >> ROTATION_DROPPED == 32767 << ROTATION_GROWTH < 1 << ACT_BITS - 1 + ROTATION_GROWTH


def test_a_product_of_rotated_weights() -> None:
    rng = np.random.default_rng(2)
    matrix = CompressedMatrix(SEEDLM4, (2, 128), rng.integers(1, 65536, (2, 16)), np.zeros((2, 16), np.int8),
                              rng.integers(-8, 8, (2, 16, 3)), rotated=True)
    x = rng.normal(0, 1, 128).astype(np.float16)
    elements, shared = to_block_floating_point(x)
    for y, row in zip(product(matrix, x), matrix.numerators().reshape(2, -1), strict=True):
        total = 256 * sum(int(a) * int(b) for a, b in zip(row, rotated_inputs(elements), strict=True))
        unit = to_24_bits(Fraction(1, 32767)) * Fraction(2) ** (shared - 8 - 29) * 2
        assert Fraction(float(y)) == to_24_bits(to_24_bits(Fraction(total)) * unit)
    assert np.allclose(product(matrix, x), restored(matrix) @ x, rtol=1e-3, atol=1e-2)


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
