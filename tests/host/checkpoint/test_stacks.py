"""Stacks of matrices, turned around piece by piece."""

from itertools import combinations

import numpy as np
import pytest

from host.checkpoint import stacks
from host.checkpoint.stacks import matrix_shape, turned


def test_shapes() -> None:
    assert matrix_shape((5, 7), False) == (5, 7)
    assert matrix_shape((5, 7), True) == (7, 5)
    assert matrix_shape((2, 3, 5, 7), False) == (30, 7)
    assert matrix_shape((2, 3, 5, 7), True) == (42, 5)


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (2, 2, 5, 1)])
@pytest.mark.parametrize("piece", [1, 14, 1000])
def test_any_rows_of_a_turned_stack(shape: tuple[int, ...], piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "_PIECE", piece)
    whole = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    flat, wanted = whole.reshape(-1, shape[-1]), whole.swapaxes(-1, -2).reshape(-1, shape[-2])
    taken = []

    def read(first: int, last: int) -> np.ndarray:
        taken.append((last - first) * shape[-1])
        return flat[first:last]

    for start, stop in combinations(range(len(wanted) + 1), 2):
        taken.clear()
        found = turned(read, shape, start, stop)
        assert np.array_equal(found, wanted[start:stop])
        assert found.dtype == np.float32
        assert max(taken) <= max(piece, shape[-1])  # memory holds a piece
        experts = -(-stop // shape[-1]) - start // shape[-1]
        assert sum(taken) == experts * shape[-2] * shape[-1]  # and no other matrix is read
    assert turned(read, shape, 2, 2).shape == (0, shape[-2])
