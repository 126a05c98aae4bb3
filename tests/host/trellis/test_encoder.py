"""The trellis encoder against all paths there are, a plain search in NumPy, and the errors that it must reach."""

import itertools
import re

import numpy as np
import pytest

from golden.formats.trellis import TRELLIS2, TRELLIS4, TRELLIS_FORMATS, TrellisFormat
from golden.trellis.matrix import TrellisMatrix
from golden.trellis.values import all_values
from host.errors import UserError
from host.trellis.encoder import encode

TINY = TrellisFormat(c=10, bits=2, window=5, fields=((17, 3), (25, 3)))
SMALL = TrellisFormat(c=7, bits=3, window=8, fields=((20, 4), (31, 4), (41, 3)))


def gaussian(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([rows, cols, seed]).normal(0, 0.02, (rows, cols))


def errors(matrix: TrellisMatrix, weights: np.ndarray, columns: np.ndarray | float = 1.0) -> np.ndarray:
    """The sum of squares of each row."""
    return np.square((matrix.weights() - weights) * columns).sum(axis=1)


def least(row: np.ndarray, scale: float, fmt: TrellisFormat, columns: np.ndarray) -> float:
    """The least error of a row under a scale: a plain Viterbi search over golden's windows."""
    costs, states = np.zeros(1 << fmt.start_bits), 1 << fmt.start_bits
    window = np.arange(1 << fmt.window)
    for weight, column in zip(row, columns, strict=True):
        reached = costs[window % states] + np.square((weight - scale * all_values(fmt)) * column)
        costs = reached.reshape(states, -1).min(axis=1)  # the window's upper bits are the next state
    return costs.min()


def test_no_path_is_better() -> None:
    fmt, weights = TINY, gaussian(3, 4)
    matrix = encode(weights, fmt)
    codes = np.array(list(itertools.product(range(4), repeat=4)), np.uint8)
    for row, scale, error in zip(weights, matrix.scales, errors(matrix, weights), strict=True):
        every = [np.square(TrellisMatrix(fmt, codes, np.full(len(codes), start, np.uint16),
                                         np.full(len(codes), scale), matrix.exponent_bias).weights() - row).sum(axis=1)
                 for start in range(1 << fmt.start_bits)]
        assert error == pytest.approx(np.min(every), rel=1e-5)


@pytest.mark.parametrize(("fmt", "cols"), [(TINY, 300), (SMALL, 200), (TRELLIS4, 45), (TRELLIS2, 70), (SMALL, 1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_errors_of_a_plain_viterbi_search(fmt: TrellisFormat, cols: int, weighted: bool) -> None:
    weights = gaussian(2, cols)
    columns = np.random.default_rng(1).uniform(0, 3, cols) if weighted else np.ones(cols)
    matrix = encode(weights, fmt, channel_weights=columns if weighted else None)
    for row, scale, error in zip(weights, matrix.scales, errors(matrix, weights, columns), strict=True):
        wanted = least(row, np.ldexp(float(scale), matrix.exponent_bias), fmt, columns)
        assert error == pytest.approx(wanted, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
def test_no_other_scale_is_much_better(draw: str) -> None:
    weights = getattr(np.random.default_rng(3), draw)(size=(2, 400))
    matrix = encode(weights, SMALL)
    for row, scale, error in zip(weights, matrix.scales, errors(matrix, weights), strict=True):
        middle = np.ldexp(float(scale), matrix.exponent_bias)
        others = [least(row, middle * other, SMALL, np.ones(400)) for other in np.geomspace(0.6, 1.7, 15)]
        assert error < 1.1 * min(others)


@pytest.mark.parametrize(("name", "most"), [("trellis4", 0.0720), ("trellis3", 0.138), ("trellis2", 0.270)])
def test_errors_of_gaussian_weights(name: str, most: float) -> None:
    weights = np.random.default_rng(5).normal(size=(6, 4096))
    matrix = encode(weights, TRELLIS_FORMATS[name])
    assert np.linalg.norm(matrix.weights() - weights) <= most * np.linalg.norm(weights)


def test_the_unit_of_weights_does_not_matter() -> None:
    weights = gaussian(3, 70).astype(np.float32)
    one, other = encode(weights, TRELLIS4, threads=1), encode(np.ldexp(weights, -30), TRELLIS4, threads=2)
    assert other.exponent_bias == one.exponent_bias - 30
    for name in ("codes", "starts", "scales"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_odd_shapes() -> None:
    done = []
    weights = gaussian(5, 33)
    weights[2], weights[4] = 0, 1e-30
    matrix = encode(weights, TRELLIS4, progress=lambda *rows: done.append(rows))
    assert done[-1] == (5, 5)
    assert matrix.scales[[2, 4]].tolist() == [0, 0]
    assert errors(matrix, weights)[:2].max() < 0.01 * np.square(weights[:2]).sum(axis=1).min()
    for shape in ((0, 3), (3, 0), (0, 0)):
        assert encode(np.zeros(shape), TRELLIS4).weights().shape == shape


@pytest.mark.parametrize(("weights", "channels", "message"), [
    (np.zeros((2, 3), int), None, "only matrices of floats can be compressed, not int64 of shape (2, 3)"),
    (np.zeros(3), None, "only matrices of floats can be compressed, not float64 of shape (3,)"),
    (np.array([[1, np.nan]]), None, "the weights contain NaN or infinity"),
    (np.array([[1e30]]), None, "a weight of 1e+30 is beyond what a trellis code holds"),
    (np.ones((2, 3)), np.ones(2), "channel weights must be 3 finite numbers of zero or more, one for each column"),
    (np.ones((2, 2)), np.array([1, -1]), "channel weights must be 2 finite numbers of zero or more")])
def test_bad_input(weights: np.ndarray, channels: np.ndarray | None, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        encode(weights, TRELLIS4, channel_weights=channels)
