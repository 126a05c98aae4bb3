"""The scale of each row, searched.

At the best scale, least squares on the path's own integers give the same scale again. So the search looks for the scale
at which they do, by the secant rule, and keeps the best of the few paths that this takes. It does so for many rows at
once, of which each goes its own way.
"""

import numpy as np

from golden.scales import LEAST_SCALE
from golden.trellis.values import all_values
from host.trellis.paths import Finder, Paths

__all__ = ["searched"]

_RUNS = 4  # paths of a row at most; one or two are usual for Gaussian rows
_ENOUGH = 0.004  # the part of the squared error that another path must promise
_FARTHEST = 0.4  # the most that a step changes the logarithm of a scale


def _rounded(scales: np.ndarray) -> np.ndarray:
    """Return scales as FP16 holds them, float64; those beyond it are infinite."""
    with np.errstate(over="ignore"):
        return scales.astype(np.float16).astype(np.float64)


def searched(finder: Finder, rows: np.ndarray) -> tuple[np.ndarray, Paths]:
    """Search scales and codes of rows, float64, (rows, columns).

    Returns
    -------
    float64 array, (rows,), and Paths
        Scales that FP16 holds, and the paths under them. A row whose scale would be
        below the normal FP16 numbers has the scale 0.
    """
    fmt, x = finder.fmt, (rows * finder.columns).astype(np.float32)
    squares = np.square(x, dtype=np.float64).sum(axis=1)
    weight = float(np.square(finder.columns, dtype=np.float64).sum()) or 1.0
    # Scales relative to the rms of a Gaussian row that are best with 2, 3 and 4 bits, and how much the logarithm of the
    # fitted scale falls, about, when that of the scale grows by 1.
    reach = (1.03 + 0.06 * (fmt.bits - 2)) / float(np.sqrt(np.square(all_values(fmt)).mean()))
    usual = -0.5 * 2.0 ** -fmt.bits
    count = len(rows)
    scales, tried = np.zeros(count), np.zeros((_RUNS, count))
    best = Paths(np.zeros(x.shape, np.uint8), np.zeros(count, np.int32), squares.copy(), np.zeros(count))
    scale, slope = _rounded(reach * np.sqrt(squares / weight)), np.full(count, usual)
    before = np.zeros((2, count))
    live = np.arange(count)
    for run in range(_RUNS):
        fresh = (scale[live] >= LEAST_SCALE) & (scale[live] < np.inf) & (scale[live] != tried[:, live]).all(axis=0)
        live = live[fresh]
        if not live.size:
            break
        tried[run, live] = scale[live]
        found = finder.paths(x[live], scale[live])
        better = found.errors < best.errors[live]
        for into, values in zip((*best, scales), (*found, scale[live]), strict=True):
            into[live[better]] = values[better]
        going = (found.fitted > 0) & (found.errors > 0)
        live = live[going]
        at, off = np.log(scale[live]), np.log(found.fitted[going] / scale[live])
        # Paths change with the scale in jumps: a rise, or a fall of next to nothing, is such a jump.
        way = at - before[0, live]
        if run:
            secant = np.divide(off - before[1, live], way, out=np.full(len(live), -np.inf), where=way != 0)
            slope[live] = np.where(way != 0, np.minimum(secant, usual / 3), slope[live])
        more = -off * off / slope[live] >= _ENOUGH * found.errors[going] / squares[live]
        live, at, off = live[more], at[more], off[more]
        before[:, live] = at, off
        scale[live] = _rounded(np.exp(at + np.clip(-off / slope[live], -_FARTHEST, _FARTHEST)))
    return scales, best
