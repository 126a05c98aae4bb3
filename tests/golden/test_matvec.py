"""Decoding and the SeedLM product, against the paper's formula in Python integers and fractions."""

from fractions import Fraction

import numpy as np
import pytest

from golden.block import CompressedMatrix
from golden.matvec import accumulate, factor, matvec
from golden.spec import SEEDLM3, SEEDLM4, SEEDLM4R, TAPS, BlockFormat
from tests.golden.reference import to_24_bits

RECURRENCES = {3: (0, 1), 7: (0, 1), 16: (0, 1, 3, 12), 24: (0, 1, 2, 7)}
ODD = BlockFormat(c=5, p=2, k=7, coef_bits=3)
SHORT = BlockFormat(c=4, p=4, k=3, coef_bits=2)
WIDE = BlockFormat(c=16, p=2, k=24)
FORMATS = [SEEDLM4, SEEDLM3, ODD, SHORT, WIDE]
names = pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)


def random_matrix(fmt: BlockFormat, rows: int, cols: int, bias: int = 0) -> CompressedMatrix:
    rng = np.random.default_rng([fmt.block_bits, rows, cols])
    shape = rows, -(-cols // fmt.c)
    return CompressedMatrix(fmt, (rows, cols), rng.integers(1, fmt.seeds, shape, np.uint32, endpoint=True),
                            rng.integers(fmt.exp_min, fmt.exp_max, shape, np.int8, endpoint=True),
                            rng.integers(fmt.coef_min, fmt.coef_max + 1, (*shape, fmt.p), np.int8), bias,
                            rng.normal(0, 1e-2, rows).astype(np.float16) if fmt.head_blocks else None)


def random_halves(count: int, top: int = 0x7C00) -> np.ndarray:
    rng = np.random.default_rng([count, top])
    return (rng.integers(0, top, count) | rng.integers(0, 2, count) << 15).astype(np.uint16).view(np.float16)


def numerator(matrix: CompressedMatrix, row: int, col: int) -> int:
    """Sum over p of q[p] * (V[c][p] - 2**(k-1)), V from the recurrence of the bits that the LFSR shifts out."""
    fmt, (block, c) = matrix.fmt, divmod(col, matrix.fmt.c)
    seed = int(matrix.seeds[row, block])
    bits = [seed >> i & 1 for i in range(fmt.k)]
    for n in range(fmt.c * fmt.p):
        bits.append(sum(bits[n + tap] for tap in RECURRENCES[fmt.k]) % 2)
    total = 0
    for p in range(fmt.p):
        first = c * fmt.p + p + 1  # the seed itself is not in V
        state = sum(bits[first + j] << j for j in range(fmt.k))
        total += int(matrix.coefs[row, block, p]) * (state - 2 ** (fmt.k - 1))
    return total


def weight(matrix: CompressedMatrix, row: int, col: int) -> Fraction:
    exponent = int(matrix.exponents[row, col // matrix.fmt.c]) + matrix.exponent_bias
    return Fraction(numerator(matrix, row, col), 2 ** (matrix.fmt.k - 1) - 1) * Fraction(2) ** exponent


def shared_exponent(x: np.ndarray) -> int:
    return max([1, *(int(bits) >> 10 & 31 for bits in x.view(np.uint16))])


def units(x: np.ndarray) -> list[int]:
    """Activations as integers of 2**(shared exponent - 29); 16 bits hold them without saturation."""
    return [round(Fraction(float(value)) / Fraction(2) ** (shared_exponent(x) - 29)) for value in x]


def check(matrix: CompressedMatrix, x: np.ndarray) -> None:
    rows = matrix.shape[0]
    y = matvec(matrix, x)
    assert (y.shape, y.dtype) == ((rows,), np.float32)
    elements, unit = units(x), Fraction(1, 2 ** (matrix.fmt.k - 1) - 1)
    constant = to_24_bits(unit * Fraction(2) ** (matrix.exponent_bias - 8 - 29))
    largest = (2**24 - 1) * 2**104
    for row in range(rows):
        total = sum(value * numerator(matrix, row, col) << int(matrix.exponents[row, col // matrix.fmt.c]) + 8
                    for col, value in enumerate(elements))
        wanted = to_24_bits(to_24_bits(Fraction(total)) * constant * 2 ** shared_exponent(x))
        assert Fraction(float(y[row])) == min(max(wanted, -largest), largest)
        # And it means W @ x, up to three roundings.
        real = sum(weight(matrix, row, col) * value for col, value in enumerate(elements)) \
            * Fraction(2) ** (shared_exponent(x) - 29)
        assert abs(real) > largest or abs(Fraction(float(y[row])) - real) <= abs(real) * Fraction(2, 2**23)


def test_the_recurrences_are_those_of_the_format() -> None:
    assert all(TAPS[k] == taps for k, taps in RECURRENCES.items())


@names
def test_numerators_and_weights(fmt: BlockFormat) -> None:
    rows, cols = 3, 2 * fmt.c + 1
    matrix = random_matrix(fmt, rows, cols, bias=-3)
    numerators = matrix.numerators()
    assert (numerators.shape, numerators.dtype) == ((rows, 3, fmt.c), np.int64)
    flat, weights = numerators.reshape(rows, -1), matrix.weights()
    assert weights.shape == (rows, cols)
    for row, col in np.ndindex(rows, cols):
        assert flat[row, col] == numerator(matrix, row, col)
        assert weights[row, col] == pytest.approx(float(weight(matrix, row, col)), rel=1e-15)


@names
@pytest.mark.parametrize("ragged", [0, 1, 3])
def test_random_products(fmt: BlockFormat, ragged: int) -> None:
    cols = 3 * fmt.c - ragged
    for top in (0x7C00, 0x3C00, 0x0800, 0x0010):
        check(random_matrix(fmt, 4, cols), random_halves(cols, top))


def test_scales_of_rows() -> None:
    """Without exponents, a row's scale takes the place of exponents and of the unit of U."""
    matrix, x = random_matrix(SEEDLM4R, 4, 29, bias=-5), random_halves(29)
    y = matvec(matrix, x)
    for row in range(4):
        total = sum(value * numerator(matrix, row, col) for col, value in enumerate(units(x)))
        power = Fraction(2) ** (shared_exponent(x) - 29 - 5)
        assert matrix.scales is not None
        scale = Fraction(float(matrix.scales[row]))
        assert Fraction(float(y[row])) == to_24_bits(to_24_bits(Fraction(total)) * scale * power)
        assert matrix.weights()[row].tolist() == [
            float(numerator(matrix, row, col) * scale / 32) for col in range(29)]
    with pytest.raises(ValueError, match="rows of seedlm4r have scales"):
        CompressedMatrix(SEEDLM4R, (4, 29), matrix.seeds, matrix.exponents, matrix.coefs)
    plain = random_matrix(SEEDLM4, 4, 29)
    with pytest.raises(ValueError, match="rows of seedlm4 have no scales"):
        CompressedMatrix(SEEDLM4, (4, 29), plain.seeds, plain.exponents, plain.coefs, scales=matrix.scales)


@pytest.mark.parametrize("bias", [-64, -20, -1, 1, 15, 60, 150])
def test_exponent_bias(bias: int) -> None:
    check(random_matrix(SEEDLM4, 3, 21, bias), random_halves(21))


@pytest.mark.parametrize("exponent", [-8, 7])
@pytest.mark.parametrize("coef", [-8, 7])
@pytest.mark.parametrize("value", [65504, -65504, 2.0**-24])
def test_extremes(exponent: int, coef: int, value: float) -> None:
    random = random_matrix(SEEDLM3, 2, 30)
    matrix = CompressedMatrix(SEEDLM3, (2, 30), random.seeds, np.full((2, 3), exponent, np.int8),
                              np.full((2, 3, 4), coef, np.int8))
    check(matrix, np.full(30, value, dtype=np.float16))


def test_the_largest_sum_does_not_overflow() -> None:
    """The largest block there is, all coefficients and activations at their bounds, every product of one sign."""
    fmt = BlockFormat(c=256, p=8, k=24)
    matrix = CompressedMatrix(fmt, (1, 512), np.array([[1, 5]], np.uint32), np.full((1, 2), 7, np.int8),
                              np.full((1, 2, 8), -8, np.int8))
    x = np.sign(matrix.numerators().reshape(-1)) * 32752
    assert accumulate(matrix, x).tolist() == [sum(int(a) * int(b) for a, b in
                                                  zip(x, matrix.numerators().ravel(), strict=True)) << 15]


def test_zeros() -> None:
    matrix = random_matrix(SEEDLM4, 3, 16)
    assert matvec(matrix, np.zeros(16, np.float16)).view(np.uint32).tolist() == [0, 0, 0]
    assert matvec(matrix, np.full(16, -0.0, np.float16)).view(np.uint32).tolist() == [0, 0, 0]


def test_accumulate_is_exact_and_shifts_by_the_exponent() -> None:
    fields = np.array([[1, 1]], np.uint32), np.array([[-8, 7]], np.int8), np.array([[[1, 0]] * 2], np.int8)
    matrix = CompressedMatrix(BlockFormat(c=2, p=2, k=3), (1, 4), *fields)
    # States after 1: 4 2 5 6; column 0, less 4: 0 1.
    assert matrix.numerators().tolist() == [[[0, 1], [0, 1]]]
    assert accumulate(matrix, np.array([9, 3, 9, 1])).tolist() == [3 + (1 << 15)]


@pytest.mark.parametrize("k", range(2, 25))
def test_factor(k: int) -> None:
    fmt = BlockFormat(8, 3, k)
    assert factor(fmt) == factor(fmt, 0)
    for bias in (0, -64, 9):
        found = factor(fmt, bias)
        assert found.dtype == np.float32
        assert Fraction(float(found)) == to_24_bits(Fraction(2) ** (bias - 37) / (2 ** (k - 1) - 1))


@pytest.mark.parametrize(("k", "low", "high"), [(16, -74, 179), (2, -89, 164)])
def test_factors_outside_float32(k: int, low: int, high: int) -> None:
    """With k = 2 the factor is a power of two, least and greatest of the normal numbers at the limits."""
    fmt = BlockFormat(8, 3, k)
    assert 2.0**-126 <= factor(fmt, low) < 2.0**-125
    assert 2.0**127 <= factor(fmt, high) < np.inf
    for bias in (low - 1, high + 1):
        with pytest.raises(ValueError, match=rf"exponent bias {bias} puts the result factor \S+ outside float32"):
            factor(fmt, bias)


def test_what_is_refused() -> None:
    matrix = random_matrix(SEEDLM4, 2, 12)
    for shape in ((11,), (16,), (12, 1), ()):
        with pytest.raises(ValueError, match=r"activations must have shape \(12,\), not"):
            matvec(matrix, np.zeros(shape, np.float16))
    with pytest.raises(ValueError, match="activations contain NaN or infinity"):
        matvec(matrix, np.full(12, np.nan, np.float16))
    with pytest.raises(ValueError, match="activations must be float16, not float32"):
        matvec(matrix, np.zeros(12, np.float32))
