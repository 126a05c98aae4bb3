"""The LFSR and the projection matrices against the paper's figure 4, known sequences and the theory of periods."""

import numpy as np
import pytest

from golden.lfsr import period, states, step
from golden.projection import centred, u_matrix, v_matrix
from golden.spec import SEEDLM3, SEEDLM4, TAPS, BlockFormat

FIGURE_4 = BlockFormat(c=4, p=2, k=3)


def test_figure_4_of_the_paper() -> None:
    assert v_matrix(4, FIGURE_4).tolist() == [[2, 5], [6, 7], [3, 1], [4, 2]]
    assert centred(4, FIGURE_4).tolist() == [[-2, 1], [2, 3], [-1, -3], [0, -2]]
    assert np.array_equal(u_matrix(4, FIGURE_4), np.array([[-2, 1], [2, 3], [-1, -3], [0, -2]]) / 3)


def test_sixteen_bits() -> None:
    """By hand: 1 has tap 0 set; then nothing until the 1 that entered at the top reaches tap 12."""
    assert states(np.array(1), 16, 6).tolist() == [0x8000, 0x4000, 0x2000, 0x1000, 0x8800, 0x4400]
    assert [step(1 << tap, 16) >> 15 for tap in range(16)] == [1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_step_and_states_agree() -> None:
    seeds = np.array([[1, 2, 3], [0x8000, 0xFFFF, 0xBEEF]], dtype=np.uint32)
    out = states(seeds, 16, 40)
    assert (out.shape, out.dtype) == ((2, 3, 40), np.int64)
    for index in np.ndindex(seeds.shape):
        state = int(seeds[index])
        for wanted in out[index]:
            state = step(state, 16)
            assert state == wanted


@pytest.mark.parametrize("k", range(2, 21))
def test_every_state_but_zero_occurs(k: int) -> None:
    assert period(k) == 2**k - 1


def _prime_factors(n: int) -> set[int]:
    found, divisor = set(), 2
    while divisor * divisor <= n:
        while n % divisor == 0:
            found.add(divisor)
            n //= divisor
        divisor += 1
    return found | ({n} if n > 1 else set())


@pytest.mark.parametrize("k", TAPS)
def test_periods_by_the_order_of_the_step(k: int) -> None:
    """A step is linear over GF(2): its order is 2**k - 1 when no proper divisor's power is the identity."""
    def power(exponent: int) -> np.ndarray:
        result, square = np.eye(k, dtype=np.int64), matrix
        while exponent:
            if exponent & 1:
                result = result @ square % 2
            square, exponent = square @ square % 2, exponent >> 1
        return result

    matrix = np.array([[step(1 << column, k) >> row & 1 for column in range(k)] for row in range(k)])
    full, identity = 2**k - 1, np.eye(k)
    assert np.array_equal(power(full), identity)
    assert not any(np.array_equal(power(full // prime), identity) for prime in _prime_factors(full))


@pytest.mark.parametrize("fmt", [SEEDLM4, SEEDLM3], ids=lambda fmt: fmt.name)
def test_u_lies_within_one(fmt: BlockFormat) -> None:
    u = u_matrix(np.arange(1, fmt.seeds + 1), fmt)
    assert u.shape == (fmt.seeds, fmt.c, fmt.p)
    assert (u.min(), u.max()) == (-1, 1)


def test_matrices_are_filled_row_by_row() -> None:
    seeds = np.array([[5, 77]])
    v = v_matrix(seeds, SEEDLM3)
    assert v.shape == (1, 2, 12, 4)
    assert np.array_equal(v.reshape(1, 2, 48), states(seeds, 16, 48))
    assert np.array_equal(v_matrix(step(5, 16), SEEDLM3)[:, :-1], v[0, 0, :, 1:])
