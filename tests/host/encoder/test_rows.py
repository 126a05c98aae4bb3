"""The encoder where each row has a scale: against every code under its scale, and the errors that it must reach."""

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest

from golden.block import CompressedMatrix, unpack
from golden.encode import encode as golden_encode
from golden.projection import u_matrix
from golden.spec import SEEDLM3R, SEEDLM4R, BlockFormat
from host.encoder.cache import compressed
from host.encoder.encoder import encode
from host.errors import UserError
from host.feedback.factor import Factor
from host.feedback.feedback import encode_feedback
from host.packing.stream import unpack_rows


def gaussian(rows: int, cols: int, sigma: float = 1.0) -> np.ndarray:
    return np.random.default_rng([rows, cols]).normal(0, sigma, (rows, cols))


def errors(matrix: CompressedMatrix, weights: np.ndarray, columns: np.ndarray | float = 1.0) -> np.ndarray:
    """The sum of squares of each row."""
    return np.square((matrix.weights() - weights) * columns).sum(axis=1)


@cache
def every_block(fmt: BlockFormat) -> np.ndarray:
    """What each seed with each code stands for: (all, c)."""
    codes = np.array(list(itertools.product(range(fmt.coef_min, fmt.coef_max + 1), repeat=fmt.p)), dtype=float)
    return np.einsum("scp,qp->sqc", u_matrix(np.arange(1, fmt.seeds + 1), fmt), codes).reshape(-1, fmt.c)


def least(row: np.ndarray, scale: float, fmt: BlockFormat, columns: np.ndarray) -> float:
    """The least error of a row under a scale, over all seeds and codes, one by one."""
    blocks, counts = row.reshape(-1, fmt.c), columns.reshape(-1, fmt.c)
    return sum(float(np.square((every_block(fmt) * scale * fmt.unit - block) * count).sum(axis=1).min())
               for block, count in zip(blocks, counts, strict=True))


@pytest.mark.parametrize("fmt", [BlockFormat(4, 2, 8, 4, 0), BlockFormat(5, 3, 7, 3, 0)], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("weighted", [False, True])
def test_no_code_under_the_scale_is_better_and_no_scale_much(fmt: BlockFormat, weighted: bool) -> None:
    weights = gaussian(2, 40)
    columns = np.random.default_rng(1).uniform(0.1, 3, 40) if weighted else np.ones(40)
    matrix = encode(weights, fmt, channel_weights=columns if weighted else None)
    for row, scale, error in zip(weights, matrix.scales, errors(matrix, weights, columns), strict=True):
        middle = np.ldexp(float(scale), matrix.exponent_bias)
        assert error == pytest.approx(least(row, middle, fmt, columns), rel=1e-9)
        assert error < 1.3 * min(least(row, middle * other, fmt, columns) for other in (0.5, 0.7, 1.4, 2))


@pytest.mark.parametrize(("fmt", "low", "high"), [(SEEDLM4R, 0.0845, 0.0865), (SEEDLM3R, 0.1755, 0.180)],
                         ids=lambda value: getattr(value, "name", ""))
def test_errors_of_gaussian_weights(fmt: BlockFormat, low: float, high: float) -> None:
    weights = gaussian(4, 4096)
    assert low <= (errors(encode(weights, fmt), weights).sum() / np.square(weights).sum()) ** 0.5 <= high


def test_rows_with_weights_that_stand_out() -> None:
    """The first scale reaches them: from that of a Gaussian row, the search would end at three times the squared error
    of the last row."""
    weights = gaussian(3, 160)
    weights[:, 7] = [50, 200, 1000]
    shares = errors(encode(weights, SEEDLM4R), weights) / np.square(weights).sum(axis=1)
    assert (shares < [0.008, 0.006, 0.002]).all()


def test_the_unit_of_weights_does_not_matter() -> None:
    weights = gaussian(3, 70).astype(np.float32)
    one, other = encode(weights, SEEDLM4R, threads=1), encode(np.ldexp(weights, -30), SEEDLM4R, threads=2)
    assert other.exponent_bias == one.exponent_bias - 30
    assert np.array_equal(one.packed(), other.packed())
    for unit in (-50, 70):  # the bias goes no farther, and the scales still do
        assert np.allclose(encode(np.ldexp(weights, unit), SEEDLM4R).weights() * 2.0**-unit, one.weights(), atol=0.6)


def test_odd_shapes_and_what_is_kept() -> None:
    done: list[tuple[int, int]] = []
    weights = gaussian(5, 33, 0.02)
    weights[2], weights[4] = 0, 1e-30
    matrix = compressed(weights, SEEDLM4R)
    assert matrix.scales is not None
    assert matrix.scales[[2, 4]].tolist() == [0, 0]
    assert not matrix.coefs[[2, 4]].any()
    again = encode(weights, SEEDLM4R, progress=lambda *rows: done.append(rows))
    assert done[-1] == (5, 5)
    assert done == sorted(done)
    blocks = again.packed()
    assert np.array_equal(blocks, matrix.packed())
    assert [(word & 0xFFFF) for word in blocks[:, 0]] == matrix.scales.view(np.uint16).tolist()
    back = CompressedMatrix(SEEDLM4R, (5, 33), *unpack(SEEDLM4R, blocks[:, 1:]), matrix.exponent_bias, matrix.scales)
    assert np.array_equal(back.weights(), matrix.weights())
    for shape in ((0, 3), (3, 0), (0, 0)):
        assert encode(np.zeros(shape), SEEDLM4R).shape == shape


@pytest.mark.filterwarnings("error")
def test_rows_that_are_all_lost_are_told() -> None:
    with pytest.raises(UserWarning, match="all weights are zero now: the greatest, 1e-30, is too small for seedlm4r"):
        encode(np.full((2, 8), 1e-30), SEEDLM4R)


@pytest.mark.parametrize(("weights", "options", "reason"), [
    (np.ones((2, 8)), {"mode": "paper"}, "format seedlm4r has no exponents, which mode 'paper' rounds to"),
    (np.full((1, 8), 1e30), {}, "a weight of 1e[+]30 is far beyond .* that seedlm4r holds .*: leave out the tensor"),
    (np.ones((1, 8)), {"exponent_bias": -50}, "a weight of 1 is far beyond .*: let the bias be chosen"),
    (np.array([[1, np.nan]]), {}, "the weights contain NaN or infinity"),
    (np.ones((2, 3)), {"channel_weights": np.ones(2)}, "channel weights must be 3 finite numbers of zero or more")])
def test_bad_input(weights: np.ndarray, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        encode(weights, SEEDLM4R, **options)


def test_what_needs_exponents_refuses_these_formats() -> None:
    with pytest.raises(ValueError, match="seedlm4r has no exponents to round to"):
        golden_encode(np.ones((1, 8)), SEEDLM4R)
    with pytest.raises(ValueError, match="no files hold rows of seedlm4r"):
        unpack_rows(np.zeros(99, np.uint8), SEEDLM4R, (1, 8), 0)
    with pytest.raises(UserError, match="error feedback takes formats with exponents, which seedlm4r has not"):
        encode_feedback([np.ones((1, 8))], SEEDLM4R, Factor(np.eye(8), 8))
    pytest.importorskip("torch")
    from host.encoder.torch_encoder import encode_torch
    from host.hf.decode import decode

    with pytest.raises(UserError, match="the search in PyTorch takes formats with exponents"):
        encode_torch(np.ones((1, 8)), SEEDLM4R, device="cpu")
    with pytest.raises(UserError, match="the decoder in PyTorch takes formats with exponents"):
        decode(None, SEEDLM4R, (1, 8), 0, None)
