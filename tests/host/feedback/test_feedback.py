"""Error feedback beside a plain one in NumPy that tries every code, and what it promises."""

import itertools

import numpy as np
import pytest

from golden.block import CompressedMatrix
from golden.projection import u_matrix
from golden.spec import EXP_MAX, EXP_MIN, SEEDLM3, SEEDLM4, BlockFormat
from host.encoder.blocks import Blocks, Tables
from host.encoder.encoder import encode
from host.encoder.metric import kernel_metric
from host.errors import UserError
from host.feedback.factor import DAMPING, Factor
from host.feedback.feedback import encode_feedback

TINY = BlockFormat(4, 2, 5, 3)


def moment(cols: int, seed: int = 0, samples: int = 200) -> np.ndarray:
    """Second moment of inputs that depend on each other and differ in size."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (samples, cols)) @ rng.normal(0, 1, (cols, cols)) * np.exp(rng.normal(0, 0.7, cols))
    return x.T @ x / samples


def gaussian(rows: int, cols: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, (rows, cols))


def output_error(matrix: CompressedMatrix, weights: np.ndarray, inputs: np.ndarray) -> float:
    """Squared error of the products with such inputs, relative to their squares."""
    left = matrix.weights() - weights
    return float(np.trace(left @ inputs @ left.T) / np.trace(weights @ inputs @ weights.T))


def all_codes(fmt: BlockFormat) -> np.ndarray:
    """What every code of a format stands for: (codes, c)."""
    codes = np.array(list(itertools.product(range(fmt.coef_min, fmt.coef_max + 1), repeat=fmt.p)), dtype=float)
    plain = np.einsum("kp,scp->skc", codes, u_matrix(np.arange(1, fmt.seeds + 1), fmt)).reshape(-1, fmt.c)
    return np.concatenate([np.ldexp(plain, exponent) for exponent in range(EXP_MIN, EXP_MAX + 1)])


def plain_feedback(weights: np.ndarray, inputs: np.ndarray, fmt: BlockFormat, bias: int) -> np.ndarray:
    """Error feedback as GPTQ writes it, with the inverse of H and an update of what is left: the weights that come out.

    The columns are those of whole blocks.
    """
    c, cols = fmt.c, weights.shape[1]
    damped = inputs + DAMPING * np.trace(inputs) / cols * np.eye(cols)
    order = np.argsort([-damped.diagonal()[start:start + c].sum() for start in range(0, cols, c)], kind="stable")
    places = np.concatenate([np.arange(block * c, block * c + c) for block in order])
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(places, places)])).T
    left, found, every = weights[:, places].copy(), np.zeros_like(weights), np.ldexp(all_codes(fmt), bias)
    for start in range(0, cols, c):
        own, rest = slice(start, start + c), slice(start + c, cols)
        metric = np.linalg.inv(upper[own, own]).T
        best = np.array([every[np.square((every - row) @ metric.T).sum(axis=1).argmin()] for row in left[:, own]])
        left[:, rest] -= (left[:, own] - best) @ np.linalg.inv(upper[own, own]) @ upper[own, rest]
        found[:, places[own]] = best
    return found


def test_it_is_that_of_a_plain_search() -> None:
    weights, inputs = gaussian(5, 24), moment(24)
    (found,) = encode_feedback([weights], TINY, Factor(inputs, TINY.c))
    assert np.allclose(found.weights(), plain_feedback(weights, inputs, TINY, found.exponent_bias), rtol=0, atol=1e-12)


@pytest.mark.parametrize("fmt", [SEEDLM4, SEEDLM3], ids=lambda fmt: fmt.name)
def test_no_rounding_of_any_seed_is_better_in_the_metric(fmt: BlockFormat) -> None:
    rng = np.random.default_rng(3)
    turn = [np.linalg.qr(rng.normal(size=(fmt.c, fmt.c)))[0] for _ in range(2)]
    metric = turn[0] @ np.diag(np.geomspace(3, 0.06, fmt.c)) @ turn[1]
    blocks, best = rng.normal(0, 1, (2, fmt.c)), Blocks(2, fmt)
    best.improve(Tables(fmt, 1, "exact", kernel_metric(metric)), blocks, slice(0, 2))
    found = CompressedMatrix(fmt, blocks.shape, best.seeds[:, None], best.exponents[:, None], best.codes[:, None])
    errors = np.square((found.weights() - blocks) @ metric.T).sum(axis=1)
    measured = metric @ u_matrix(np.arange(1, fmt.seeds + 1), fmt)
    for block, error in zip(blocks, errors, strict=True):
        t = np.linalg.pinv(measured) @ (metric @ block)
        usual = np.floor(np.log2(np.abs(t).max(axis=1))).astype(int) - (fmt.coef_bits - 2)
        for away in (-1, 0, 1, 2):
            exponent = np.clip(usual + away, EXP_MIN, EXP_MAX)
            codes = np.clip(np.rint(np.ldexp(t, -exponent[:, None])), fmt.coef_min, fmt.coef_max)
            left = metric @ block - np.einsum("scp,sp->sc", measured, np.ldexp(codes, exponent[:, None]))
            assert error <= np.square(left).sum(axis=1).min() * (1 + 1e-9)


@pytest.mark.parametrize("fmt", [SEEDLM4, BlockFormat(6, 3, 8, 3), BlockFormat(4, 2, 17)], ids=lambda fmt: fmt.name)
def test_products_are_nearer_than_those_of_the_nearest_weights(fmt: BlockFormat) -> None:
    weights, inputs = gaussian(6, 40), moment(40)
    (found,) = encode_feedback([weights], fmt, Factor(inputs, fmt.c))
    assert output_error(found, weights, inputs) < 0.7 * output_error(encode(weights, fmt), weights, inputs)


def test_independent_inputs_of_one_size_change_nothing() -> None:
    weights = gaussian(5, 40)
    (found,) = encode_feedback([weights], SEEDLM4, Factor(np.eye(40) / 7, SEEDLM4.c))
    assert np.array_equal(found.packed(), encode(weights, SEEDLM4).packed())


def test_neither_slices_nor_neighbours_nor_threads_make_a_difference() -> None:
    first, second, factor = gaussian(150, 20), 3 * gaussian(7, 20, 2), Factor(moment(20), TINY.c)
    both = encode_feedback([first, second], TINY, factor, threads=2)
    alone = encode_feedback([second], TINY, factor, threads=1, exponent_biases=[both[1].exponent_bias])[0]
    part = encode_feedback([first[100:]], TINY, factor, exponent_biases=[both[0].exponent_bias])[0]
    assert np.array_equal(both[1].packed(), alone.packed())
    assert np.array_equal(both[0].packed()[100:], part.packed())


def test_inputs_that_are_always_zero_are_left_to_the_plain_error() -> None:
    weights = gaussian(3, 16)
    (found,) = encode_feedback([weights], TINY, Factor(np.zeros((16, 16)), TINY.c))
    assert np.array_equal(found.packed(), encode(weights, TINY).packed())


def test_progress_ends_at_all_blocks() -> None:
    calls: list[tuple[int, int]] = []
    encode_feedback([gaussian(3, 10), gaussian(2, 10)], TINY, Factor(moment(10), TINY.c),
                    progress=lambda *counts: calls.append(counts))
    assert calls == [(5, 15), (10, 15), (15, 15)]


@pytest.mark.parametrize("bad", [np.ones((3, 4)), np.full((4, 4), np.nan), np.ones(4), -np.eye(4),
                                 np.array([[1, 9], [9, 1.0]])],
                         ids=["oblong", "nan", "vector", "negative", "indefinite"])
def test_what_is_no_second_moment(bad: np.ndarray) -> None:
    with pytest.raises(UserError, match="the statistics of an input are no second moment"):
        Factor(bad, TINY.c)


def test_inputs_of_another_width() -> None:
    with pytest.raises(UserError, match="a matrix of 12 columns cannot have an input of 8 numbers"):
        encode_feedback([gaussian(2, 12)], TINY, Factor(moment(8), TINY.c))
