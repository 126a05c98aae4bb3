"""The Fibonacci LFSR of SeedLM, one bit at a time (paper, section 3.1 and figure 4).

The register shifts right; the XOR of its tapped bits enters at the top. State 0 never occurs.
"""

from typing import TypeVar

import numpy as np

from golden.spec import TAPS

__all__ = ["period", "states", "step"]

State = TypeVar("State", int, np.ndarray)


def step(state: State, k: int) -> State:
    """The state that follows ``state`` in a ``k``-bit LFSR; works on an int or elementwise on an integer array."""
    feedback = state & 0
    for tap in TAPS[k]:
        feedback = feedback ^ ((state >> tap) & 1)
    return (state >> 1) | (feedback << (k - 1))


def states(seed: np.ndarray, k: int, count: int) -> np.ndarray:
    """The ``count`` states after each seed, the seed itself not among them.

    Parameters
    ----------
    seed : integer array, any shape ``S``
        Register states, 1 to 2**k - 1.

    Returns
    -------
    int64 array, shape ``S + (count,)``
    """
    state = np.asarray(seed, dtype=np.int64)
    out = np.empty((*state.shape, count), dtype=np.int64)
    for i in range(count):
        state = step(state, k)
        out[..., i] = state
    return out


def period(k: int) -> int:
    """Steps until a ``k``-bit LFSR returns to state 1."""
    state, count = step(1, k), 1
    while state != 1:
        state, count = step(state, k), count + 1
    return count
