"""The scale of each row, searched, for codes that give each row one.

At the best scale, least squares on the codes that were found under it give the same scale again. So the search looks
for the scale at which they do, by the secant rule, and keeps the best of the few codes that this takes. It does so for
many rows at once, of which each goes its own way.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import numpy as np

from golden.scales import LEAST_SCALE

__all__ = ["Found", "searched"]

_RUNS = 4  # codes of a row at most; one or two are usual for Gaussian rows
_ENOUGH = 0.004  # the part of the squared error that another search must promise
_FARTHEST = 0.4  # the most that a step changes the logarithm of a scale
_MOST = float(np.finfo(np.float16).max)


class Found(Protocol):
    """The best codes of some rows, each under its scale: a named tuple of arrays, whose first axis is that of rows."""

    def __iter__(self) -> Iterator[np.ndarray]: ...

    @property
    def errors(self) -> np.ndarray:
        """The sum of squares of each row's errors: float64, (rows,)."""
        ...

    @property
    def fitted(self) -> np.ndarray:
        """The scale that least squares give for the codes of each row, or 0 where all are 0: float64, (rows,)."""
        ...


_Codes = TypeVar("_Codes", bound=Found)


def _rounded(scales: np.ndarray) -> np.ndarray:
    """Return scales as FP16 holds them, the greatest in the place of what is beyond it: float64."""
    return np.minimum(scales, _MOST).astype(np.float16).astype(np.float64)


def searched(find: Callable[[np.ndarray, np.ndarray], _Codes], first: np.ndarray, best: _Codes, usual: float,
             noise: float = 0.0) -> tuple[np.ndarray, _Codes]:
    """Search scales and codes of rows.

    Parameters
    ----------
    find : callable
        Returns the best codes of some rows, whose numbers it takes, int64, (live,), under scales, float64, (live,).
    first : float64 array, (rows,)
        The scale that each row is tried with first.
    best : named tuple of arrays
        The codes of rows that become zero, with the errors that this makes. It is changed in place.
    usual : float
        How much the logarithm of a fitted scale rises, about, when that of the scale grows by 1: below zero.
    noise : float
        By how much the square of the logarithm of fitted to given scale has to exceed the relative squared error.
        Below, it is taken as chance.

    Returns
    -------
    float64 array, (rows,), and named tuple of arrays
        Scales that FP16 holds, and the codes under them. A row whose scale would be below the normal FP16 numbers has
        the scale 0.
    """
    count, squares = len(first), best.errors.copy()
    scales, tried = np.zeros(count), np.zeros((_RUNS, count))
    scale, slope = _rounded(first), np.full(count, usual)
    before = np.zeros((2, count))
    live = np.arange(count)
    for run in range(_RUNS):
        live = live[(scale[live] >= LEAST_SCALE) & (scale[live] != tried[:, live]).all(axis=0)]
        if not live.size:
            break
        tried[run, live] = scale[live]
        found = find(live, scale[live])
        better = found.errors < best.errors[live]
        for into, values in zip((*best, scales), (*found, scale[live]), strict=True):
            into[live[better]] = values[better]
        going = (found.fitted > 0) & (found.errors > 0)
        live, left = live[going], found.errors[going] / squares[live[going]]
        at, off = np.log(scale[live]), np.log(found.fitted[going] / scale[live])
        # Codes change with the scale in jumps: a rise, or a fall of next to nothing, is such a jump.
        way = at - before[0, live]
        if run:
            secant = np.divide(off - before[1, live], way, out=np.full(len(live), -np.inf), where=way != 0)
            slope[live] = np.where(way != 0, np.minimum(secant, usual / 3), slope[live])
        more = (-off * off / slope[live] >= _ENOUGH * left) & (off * off >= noise * left)
        live, at, off = live[more], at[more], off[more]
        before[:, live] = at, off
        scale[live] = _rounded(np.exp(at + np.clip(-off / slope[live], -_FARTHEST, _FARTHEST)))
    return scales, best
