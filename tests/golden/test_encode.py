"""The plain encoder: its rounding by hand, its search by brute force, its error on Gaussian weights."""

from collections.abc import Sequence

import numpy as np
import pytest

from golden.block import CompressedMatrix
from golden.encode import Rounding, encode, quantise
from golden.projection import u_matrix
from golden.spec import SEEDLM3, SEEDLM4, BlockFormat


def error(matrix: CompressedMatrix, weights: np.ndarray) -> float:
    return float(np.linalg.norm(matrix.weights() - weights) / np.linalg.norm(weights))


@pytest.mark.parametrize(("fmt", "low", "high"), [(SEEDLM4, 0.115, 0.1235), (SEEDLM3, 0.215, 0.2265)],
                         ids=["seedlm4", "seedlm3"])
def test_relative_error_on_gaussian_weights(fmt: BlockFormat, low: float, high: float) -> None:
    weights = np.random.default_rng(0).normal(0, 0.02, (8, 24 * fmt.c))
    assert low <= error(encode(weights, fmt), weights) <= high


@pytest.mark.parametrize(("fmt", "known"), [(SEEDLM4, 0.1912), (SEEDLM3, 0.3030)], ids=["seedlm4", "seedlm3"])
def test_the_printed_rule_has_the_error_that_seedlm_repro_publishes(fmt: BlockFormat, known: float) -> None:
    """A known answer: seedlm-repro, results/validation_report.txt, section 4, "paper" (Gaussian weights, all seeds)."""
    weights = np.random.default_rng(0).normal(0, 1, (4, 16 * fmt.c))
    matrix = encode(weights, fmt, "printed")
    assert error(matrix, weights) == pytest.approx(known, rel=0.04)
    assert np.unique(matrix.coefs).tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize(("coef_bits", "t", "exponent", "codes"), [
    (4, (1.0, -0.5, 0.25), 0, (1, 0, 0)),  # a tie: -0.5
    (4, (1.99, -0.6, 0.1), 0, (2, -1, 0)),
    (4, (-0.26, 0.5, 0.13), -1, (-1, 1, 0)),
    (4, (0.0, 0.0, 0.0), -8, (0, 0, 0)),
    (4, (1e6, -1e6, 0.0), 7, (7, -8, 0)),
    (4, (2.0**-10, 2.0**-30, 0.0), -8, (0, 0, 0)),
    (3, (1.9, -0.5, 0.75), 0, (2, 0, 1)),
    (2, (1.0, -1.9, 0.25), 0, (1, -2, 0))])
def test_quantise_by_the_printed_rule(coef_bits: int, t: Sequence[float], exponent: int, codes: Sequence[int]) -> None:
    found = quantise(np.array([t, t]), BlockFormat(8, 3, 16, coef_bits), "printed")
    assert (found[0].tolist(), found[1].tolist()) == ([exponent] * 2, [list(codes)] * 2)


@pytest.mark.parametrize(("coef_bits", "t", "exponent", "codes"), [
    (4, (1.0, -0.5, 0.25), -2, (4, -2, 1)),
    (4, (1.99, -0.5, 0.1), -2, (7, -2, 0)),  # 7.96 saturates
    (4, (-1.99, 0.5, 0.1), -2, (-8, 2, 0)),
    (4, (0.5, 2.0, -2.0), -1, (1, 4, -4)),
    (4, (1.0, 0.125, 0.375), -2, (4, 0, 2)),  # ties: 0.5 and 1.5
    (4, (-1.0, -0.125, -0.625), -2, (-4, 0, -2)),  # -0.5 and -2.5
    (4, (0.0, 0.0, 0.0), -8, (0, 0, 0)),
    (4, (1e6, -1e6, 0.0), 7, (7, -8, 0)),
    (4, (2.0**-9, 1.5 * 2**-8, -(2.0**-30)), -8, (0, 2, 0)),
    (4, (512.0, 0.0, 0.0), 7, (4, 0, 0)),
    (3, (1.0, -0.5, 0.25), -1, (2, -1, 0)),
    (2, (1.0, -1.9, 0.25), 0, (1, -2, 0))])
def test_quantise(coef_bits: int, t: Sequence[float], exponent: int, codes: Sequence[int]) -> None:
    fmt = BlockFormat(8, 3, 16, coef_bits)
    found = quantise(np.array([t, t]), fmt)
    assert (found[0].tolist(), found[1].tolist()) == ([exponent] * 2, [list(codes)] * 2)


@pytest.mark.parametrize("rounding", ["paper", "printed"])
@pytest.mark.parametrize("fmt", [BlockFormat(4, 2, 5), BlockFormat(6, 3, 8, 3), BlockFormat(5, 2, 7, 2)],
                         ids=lambda fmt: fmt.name)
def test_no_seed_is_better(fmt: BlockFormat, rounding: Rounding) -> None:
    weights = np.random.default_rng(1).normal(0, 0.3, (3, 4 * fmt.c))
    matrix = encode(weights, fmt, rounding)
    errors = np.square(matrix.weights() - weights).reshape(-1, fmt.c).sum(axis=1)
    for block, found in zip(weights.reshape(-1, fmt.c), errors, strict=True):
        least = np.inf
        for u in u_matrix(np.arange(1, fmt.seeds + 1), fmt):
            exponent, codes = quantise(np.linalg.lstsq(u, block)[0], fmt, rounding)
            least = min(least, float(np.square(u @ codes * 2.0**exponent - block).sum()))
        assert found == pytest.approx(least, rel=1e-9)


def test_weights_that_blocks_can_hold_come_back() -> None:
    """Seeds from the first to the last: the search leaves none out."""
    seeds = np.array([[1, 2, 16384, 16385], [16386, 40000, 65534, 65535]], dtype=np.uint32)
    exponents = np.array([[-8, -5, 0, 7], [3, -1, 2, -8]], dtype=np.int8)
    coefs = np.array([[[4, -1, 2], [-7, 3, 5], [6, 6, -6], [7, -7, 1]], [[-5, 0, 3], [2, 5, 1], [7, 7, 7], [4, -3, 7]]],
                     dtype=np.int8)
    weights = CompressedMatrix(SEEDLM4, (2, 32), seeds, exponents, coefs).weights()
    matrix = encode(weights, SEEDLM4)
    assert np.allclose(matrix.weights(), weights, rtol=0, atol=0)
    assert matrix.exponent_bias == 0


def test_a_ragged_last_block_is_padded_with_zeros() -> None:
    fmt = BlockFormat(4, 2, 5)
    weights = np.random.default_rng(2).normal(0, 1, (2, 6))
    ragged, padded = encode(weights, fmt), encode(np.pad(weights, ((0, 0), (0, 2))), fmt)
    assert ragged.shape == (2, 6)
    assert np.array_equal(ragged.packed(), padded.packed())


def test_zeros() -> None:
    matrix = encode(np.zeros((1, 8)), BlockFormat(4, 2, 5))
    assert not matrix.weights().any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="weights contain NaN or infinity"):
        encode(np.array([[0.0, value]]), SEEDLM4)
