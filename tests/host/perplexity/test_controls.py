"""The quantisers that SeedLM is compared with, beside plain ones."""

import numpy as np
import pytest

from host.perplexity.awq import awq
from host.perplexity.gptq import gptq
from host.perplexity.grids import fitted_grid, grid_bits, group_slices, on_grid
from host.perplexity.nf4 import LEVELS, nf4, nf4_bits


def weights(rows: int, cols: int) -> np.ndarray:
    return np.random.default_rng(rows * cols).normal(0, 0.02, (rows, cols)).astype(np.float32)


def correlated(cols: int, loud: int = 0) -> np.ndarray:
    """A second moment of inputs that go together, of which the first ``loud`` are ten times as great."""
    random = np.random.default_rng(cols)
    x = random.normal(0, 1, (4 * cols, cols // 4)) @ random.normal(0, 1, (cols // 4, cols))
    x += random.normal(0, 0.5, x.shape)
    x[:, :loud] *= 10
    return (x.T @ x / len(x)).astype(np.float32)


def output_error(restored: np.ndarray, given: np.ndarray, moment: np.ndarray) -> float:
    return float(np.einsum("rc,cd,rd->", restored - given, moment, restored - given))


def test_groups_take_the_rest_of_a_row() -> None:
    assert group_slices(576) == [slice(0, 128), slice(128, 256), slice(256, 384), slice(384, 576)]
    assert group_slices(60) == [slice(0, 60)]
    assert grid_bits(576, 4) == 4 + 4 * 20 / 576
    assert nf4_bits(576) == 4.25


@pytest.mark.parametrize("bits", [3, 4])
def test_a_grid_is_nearest_and_holds_zero_and_both_ends(bits: int) -> None:
    part = weights(5, 40)
    part[1] = np.abs(part[1])
    part[2] = 0
    grid = fitted_grid(part, bits)
    for row, scale, zero, found in zip(part, grid.scale, grid.zero, grid.nearest(part), strict=True):
        points = (np.arange(1 << bits) - zero) * scale
        assert 0 in points
        assert np.array_equal(found, points[np.abs(row[:, None] - points).argmin(axis=1)])
        assert np.abs(found - row).max() <= scale * 1.01  # the zero is rounded, so that an end may be half a step off


def test_nf4_takes_the_nearest_level() -> None:
    given = weights(3, 150)
    given[2, :64] = 0
    found = nf4(given)
    for row in range(3):
        for start in (0, 64, 128):
            part = given[row, start:start + 64].astype(np.float64)
            scale = float(np.float16(np.abs(part).max()))
            points = LEVELS * scale
            assert np.array_equal(found[row, start:start + 64], points[np.abs(part[:, None] - points).argmin(axis=1)])
    assert LEVELS.tolist() == sorted(LEVELS)
    assert len(LEVELS) == 16


def plain_gptq(given: np.ndarray, moment: np.ndarray, bits: int) -> np.ndarray:
    """Optimal brain quantisation, column by column: the inverse of what is left of the moment, made anew each time."""
    left, restored = given.astype(np.float64), np.empty(given.shape)
    damped = moment.astype(np.float64) + 0.01 * np.diag(moment).astype(np.float64).mean() * np.eye(len(moment))
    for part in group_slices(given.shape[1]):
        grid = fitted_grid(left[:, part], bits)
        for column in range(part.start, part.stop):
            inverse = np.linalg.inv(damped[column:, column:])
            restored[:, column] = grid.nearest(left[:, column:column + 1])[:, 0]
            error = (left[:, column] - restored[:, column]) / inverse[0, 0]
            left[:, column:] -= np.outer(error, inverse[0])
    return restored


def test_gptq_is_the_plain_algorithm() -> None:
    given, moment = weights(6, 260), correlated(260)
    found = gptq(given, moment, 4)
    assert np.mean(np.abs(found - plain_gptq(given, moment, 4)) < 1e-9) > 0.999  # a tie may fall the other way
    assert output_error(found, given, moment) < 0.5 * output_error(on_grid(given, 4), given, moment)


def test_gptq_without_correlations_rounds_to_nearest() -> None:
    given = weights(4, 130)
    assert np.array_equal(gptq(given, np.eye(130, dtype=np.float32), 3), on_grid(given.astype(np.float64), 3))


def test_awq_spares_loud_channels() -> None:
    given = {"layer.up_proj": weights(16, 128), "layer.gate_proj": weights(16, 128) * 2}
    moment = correlated(128, loud=4)
    error = {name: output_error(on_grid(each.astype(np.float64), 4), each, moment) for name, each in given.items()}
    for scalable, most in ((True, 0.8), (False, 1.0)):
        found = awq(given, moment, scalable, 4)
        assert set(found) == set(given)
        assert sum(output_error(found[name], given[name], moment) for name in given) < most * sum(error.values())


def test_awq_without_loud_channels_cuts_nothing_of_queries_and_keys() -> None:
    given = {"self_attn.q_proj": weights(4, 128).astype(np.float64)}
    found = awq(given, np.eye(128, dtype=np.float32), True, 4)["self_attn.q_proj"]
    assert np.array_equal(found, on_grid(given["self_attn.q_proj"], 4))
