"""Products of many vectors at once are golden's, vector by vector and bit for bit."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from golden.block import CompressedMatrix
from golden.integers import quantise
from golden.product import Weights, product
from golden.spec import INT3, INT4, INT8, SEEDLM3, SEEDLM4, SEEDLM4R, TRELLIS3, TRELLIS4, BlockFormat, GroupFormat
from host.model.exact_product import ExactMatrix
from sim.device.random_operands import random_weights

ROWS, COLS, TOKENS = 23, 200, 9


def codes(fmt: BlockFormat, rng: np.random.Generator, cols: int = COLS) -> CompressedMatrix:
    """Codes drawn at random, whose exponents are from end to end of their range in most rows."""
    blocks = -(-cols // fmt.c)
    exponents = rng.integers(-8, 8, (ROWS, blocks)).astype(np.int8)
    exponents[:5] = rng.integers(0, 3, (5, blocks))
    return CompressedMatrix(fmt, (ROWS, cols), rng.integers(1, fmt.seeds + 1, (ROWS, blocks)).astype(np.uint32),
                            exponents, rng.integers(fmt.coef_min, fmt.coef_max + 1, (ROWS, blocks, fmt.p)).astype(
                                np.int8), int(rng.integers(-6, 3)))


def rounded(fmt: GroupFormat) -> Callable[[np.random.Generator], Weights]:
    def make(rng: np.random.Generator) -> Weights:
        sizes = np.exp(rng.normal(0, 4, (ROWS, 1))).clip(1e-6, 1e3)
        return quantise(rng.normal(0, 1, (ROWS, COLS)) * sizes, fmt)

    return make


def halves(rng: np.random.Generator) -> Weights:
    bits = rng.integers(0, 1 << 16, (ROWS, COLS)).astype(np.uint16)
    values = bits.view(np.float16)
    return np.where(np.isfinite(values), values, np.float16(1))


MATRICES: dict[str, Callable[[np.random.Generator], Weights]] = {
    "seedlm4": lambda rng: codes(SEEDLM4, rng), "seedlm3": lambda rng: codes(SEEDLM3, rng),
    "10,5,16": lambda rng: codes(BlockFormat(10, 5, 16), rng),
    "20,8,12": lambda rng: codes(BlockFormat(20, 8, 12), rng),
    "one column": lambda rng: codes(SEEDLM4, rng, 1), "int3": rounded(INT3), "int4": rounded(INT4),
    "int8": rounded(INT8), "fp16": halves, **{fmt.name: partial(random_weights, fmt, ROWS, COLS)
                                              for fmt in (SEEDLM4R, TRELLIS4, TRELLIS3)},
    "rotated": lambda rng: replace(codes(SEEDLM4, rng, 192), rotated=True)}


def vectors(rng: np.random.Generator, cols: int) -> np.ndarray:
    """Ordinary ones, some with elements from least to greatest, sparse ones, a zero one, and one of subnormals."""
    x = rng.normal(0, 1, (TOKENS, cols)) * np.exp(rng.normal(0, 3, (TOKENS, cols)))
    x[1] *= rng.random(cols) < 0.1
    x[2], x[3] = 0, rng.normal(0, 1e-6, cols)
    x[4] = 65504 * np.sign(rng.normal(size=cols))
    return x.clip(-65504, 65504).astype(np.float16)


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("act_bits", [16, 8])
def test_every_product_is_golden(kind: str, act_bits: int) -> None:
    rng = np.random.default_rng([len(kind), act_bits])
    for _ in range(4):
        weights = MATRICES[kind](rng)
        x = vectors(rng, weights.shape[1])
        found = ExactMatrix(weights, act_bits).product(x)
        wanted = np.stack([product(weights, each, act_bits) for each in x])
        assert found.dtype == np.float32
        assert np.array_equal(found.view(np.uint32), wanted.view(np.uint32))


def test_sums_that_lie_on_a_tie() -> None:
    """Sums of 25 bits and of 49 bits that end in a tie, or just beside one, as the lower digit decides."""
    fmt = BlockFormat(8, 1, 16)
    seeds, coefs = np.full((1, 3), 1, np.uint32), np.ones((1, 3, 1), np.int8)
    for exponents in ([7, 7, -8], [-8, 7, -8], [7, -8, 7], [0, 7, -7]):
        weights = CompressedMatrix(fmt, (1, 24), seeds, np.array([exponents], np.int8), coefs)
        x = np.random.default_rng(3).integers(-2048, 2049, (400, 24)).astype(np.float16)
        found = ExactMatrix(weights).product(x)
        wanted = np.stack([product(weights, each) for each in x])
        assert np.array_equal(found.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize("x", [np.zeros(8, np.float16), np.zeros((2, 7), np.float16), np.zeros((2, 8), np.float32),
                               np.full((2, 8), np.inf, np.float16)])
def test_vectors_that_are_no_activations(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="activations"):
        ExactMatrix(np.zeros((3, 8), np.float16)).product(x)
