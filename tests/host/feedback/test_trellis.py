"""The trellis code with error feedback beside a plain search in NumPy, and what it promises."""

import numpy as np
import pytest

from golden.spec import TRELLIS4, TrellisFormat
from golden.trellis.matrix import TrellisMatrix
from golden.trellis.values import all_values
from host.errors import UserError
from host.feedback.trellis import encode_trellis, trellis_factor
from host.trellis.encoder import encode
from host.trellis.paths import FedKernel, KernelFinder
from tests.host.feedback.test_feedback import gaussian, moment

SMALL = TrellisFormat(c=16, bits=2, window=7, fields=((20, 4), (31, 4), (41, 3)))


def plain_cost(row: np.ndarray, scale: float, upper: np.ndarray, start: int | None) -> float:
    """What errors count that a plain search finds: for each state, the best way to it goes on from the best way to the
    state before, with that way's errors."""
    states, windows = 1 << SMALL.start_bits, np.arange(1 << SMALL.window)
    costs = np.full(states, 0.0 if start is None else np.inf)
    costs[start or 0] = 0
    errors = np.zeros((states, len(row)))
    for i, weight in enumerate(row):
        before = windows % states
        own = weight - scale * all_values(SMALL)[windows]
        reached = costs[before] + np.square(errors[before] @ upper[:, i] + own * upper[i, i])
        best = reached.reshape(states, -1).argmin(axis=1) + np.arange(states) * (len(windows) // states)
        costs, errors = reached[best], errors[before[best]]
        errors[:, i] = own[best]
    return costs.min()


@pytest.mark.parametrize("start", [None, 9])
def test_it_is_that_of_a_plain_search(start: int | None) -> None:
    weights, upper = gaussian(3, 32), np.linalg.cholesky(moment(32)[::-1, ::-1])[::-1, ::-1]
    scales = np.full(3, 0.0025)
    codes, starts, _ = FedKernel(SMALL).paths(weights, scales, upper, None if start is None else np.full(3, start))
    found = scales[:, None] * TrellisMatrix(SMALL, codes, starts.astype(np.uint16), np.ones(3, np.float16)).weights()
    for row, each in zip(weights, found, strict=True):
        assert np.square((row - each) @ upper).sum() == pytest.approx(plain_cost(row, 0.0025, upper, start), rel=1e-3)
    assert start is None or (starts == start).all()


def test_independent_inputs_of_one_size_leave_the_best_path() -> None:
    weights, scales = gaussian(4, 200), np.full(4, 0.003)
    codes, starts, _ = FedKernel(TRELLIS4).paths(weights[:, :64], scales, np.eye(64))
    found = TrellisMatrix(TRELLIS4, codes, starts.astype(np.uint16), np.ones(4, np.float16)).weights()
    best = KernelFinder(TRELLIS4, np.ones(64)).paths(weights[:, :64].astype(np.float32), scales)
    assert np.square(scales[:, None] * found - weights[:, :64]).sum(axis=1) == pytest.approx(best.errors, rel=1e-5)
    (whole,), plain = encode_trellis([weights], TRELLIS4, trellis_factor(np.eye(200))), encode(weights, TRELLIS4)
    assert np.array_equal(whole.scales, plain.scales)
    assert np.linalg.norm(whole.weights() - weights) < 1.05 * np.linalg.norm(plain.weights() - weights)


def test_products_are_nearer_than_those_of_the_nearest_weights() -> None:
    weights, inputs = gaussian(6, 200), moment(200)
    (found,) = encode_trellis([weights], TRELLIS4, trellis_factor(inputs))
    errors = [np.trace(left @ inputs @ left.T) for left in (found.weights() - weights,
                                                           encode(weights, TRELLIS4).weights() - weights)]
    assert errors[0] < 0.4 * errors[1]


def test_neither_slices_nor_neighbours_nor_threads_make_a_difference() -> None:
    first, second, factor = gaussian(70, 150), 3 * gaussian(5, 150, 2), trellis_factor(moment(150))
    both = encode_trellis([first, second], SMALL, factor, threads=2)
    alone, = encode_trellis([second], SMALL, factor, threads=1)
    assert np.array_equal(both[1].packed(), alone.packed())
    assert both[0].shape == first.shape


def test_inputs_of_another_width() -> None:
    with pytest.raises(UserError, match="a matrix of 12 columns cannot have an input of 8 numbers"):
        encode_trellis([gaussian(2, 12)], TRELLIS4, trellis_factor(moment(8)))
