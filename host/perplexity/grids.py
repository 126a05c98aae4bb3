"""Integers with a scale and a zero of their own for every group of 128 weights of a row: the grid of AWQ and GPTQ.

Codes reach from 0 to 2**bits - 1, and stand for (code - zero) * scale: an FP16 scale and a zero of as many bits as a
code, such that the least and the greatest weight of a group, and 0, are about on the grid. Groups lie as those of
:class:`golden.spec.GroupFormat`: the last of a row takes what is left of it, up to 255 weights.
"""

from dataclasses import dataclass

import numpy as np

from golden.spec import SCALE_BITS

__all__ = ["GROUP", "Grid", "fitted_grid", "grid_bits", "group_slices", "on_grid"]

GROUP = 128
"""Weights that share a scale."""


def group_slices(cols: int) -> list[slice]:
    """Return the columns of each group of a row of ``cols`` columns."""
    starts = [GROUP * number for number in range(max(cols // GROUP, 1))]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], cols], strict=True)]


def grid_bits(cols: int, bits: int) -> float:
    """Return the stored bits for one weight of a row of ``cols`` columns: codes, scales and zeros."""
    return bits + len(group_slices(cols)) * (SCALE_BITS + bits) / cols


@dataclass(frozen=True)
class Grid:
    """The grids of one group of columns, one for each row.

    Parameters
    ----------
    bits : int
        Width of a code.
    scale, zero : float64 arrays, (rows, 1)
    """

    bits: int
    scale: np.ndarray
    zero: np.ndarray

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest points of the grid, float64, of the shape (rows, any)."""
        codes = np.rint(values / self.scale + self.zero).clip(0, (1 << self.bits) - 1)
        return (codes - self.zero) * self.scale


def fitted_grid(weights: np.ndarray, bits: int) -> Grid:
    """Return the grid that reaches from the least to the greatest weight of each row of a group, (rows, columns)."""
    low, high = weights.min(axis=1, keepdims=True).clip(max=0), weights.max(axis=1, keepdims=True).clip(min=0)
    scale = ((high - low) / ((1 << bits) - 1)).astype(np.float16).astype(np.float64)
    scale[scale == 0] = 1
    return Grid(bits, scale, np.rint(-low / scale).clip(0, (1 << bits) - 1))


def on_grid(weights: np.ndarray, bits: int) -> np.ndarray:
    """Return a matrix rounded to the fitted grid of every group: float64, (rows, columns)."""
    return np.concatenate([fitted_grid(weights[:, part], bits).nearest(weights[:, part])
                           for part in group_slices(weights.shape[1])], axis=1)
