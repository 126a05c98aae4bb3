"""Data-free quantisers to compare SeedLM with: round to nearest with scales in FP16, and block floating point.

Each takes a float matrix (rows, columns) and returns the float64 matrix that its codes stand for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from golden.int4 import nearest_codes

__all__ = ["CONTROLS", "Control", "block_floating_point", "round_to_nearest"]

_SHRINK = np.linspace(0.5, 1.0, 26)
"""Fractions of the full range that are tried when a scale is searched."""


def _grouped(weights: np.ndarray, group: int) -> np.ndarray:
    """Return weights as (groups, group), float64; the last group of a row is padded with zeros."""
    return np.pad(weights, ((0, 0), (0, -weights.shape[1] % group))).reshape(-1, group).astype(np.float64)


def _rows_again(groups: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo :func:`_grouped` for weights of this shape."""
    return groups.reshape(shape[0], -1)[:, :shape[1]]


def round_to_nearest(weights: np.ndarray, bits: int, group: int | None, search: bool = False) -> np.ndarray:
    """Round to symmetric integers of ``bits`` bits with an FP16 scale for every ``group`` weights of a row.

    Parameters
    ----------
    group : int or None
        None for one scale for each row.
    search : bool
        Take the scale of least squared error, in place of the one that the largest weight needs.
    """
    groups = _grouped(weights, group or weights.shape[1])
    best, least = np.zeros_like(groups), np.full((len(groups), 1), np.inf)
    for shrink in _SHRINK if search else (1.0,):
        codes, scales = nearest_codes(groups, bits, shrink)
        restored = codes * scales.astype(np.float64)[:, None]
        error = np.square(restored - groups).sum(axis=1, keepdims=True)
        best, least = np.where(error < least, restored, best), np.minimum(error, least)
    return _rows_again(best, weights.shape)


def block_floating_point(weights: np.ndarray, bits: int, group: int) -> np.ndarray:
    """Round to integers of ``bits`` bits with one power of two for every ``group`` weights of a row.

    The power is the least one at which the integer of the largest weight has no redundant sign bit.
    """
    groups = _grouped(weights, group)
    _, power = np.frexp(np.abs(groups).max(axis=1, keepdims=True))
    shift = power - (bits - 1)
    codes = np.rint(np.ldexp(groups, -shift)).clip(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    return _rows_again(np.ldexp(codes, shift), weights.shape)


@dataclass(frozen=True)
class Control:
    """A quantiser.

    Parameters
    ----------
    name : str
    restore : callable
        Returns what its codes of a matrix stand for.
    bits_per_weight : callable
        Returns the bits that it stores for a weight, of a matrix of so many columns.
    """

    name: str
    restore: Callable[[np.ndarray], np.ndarray]
    bits_per_weight: Callable[[int], float]


def _controls(bits: int) -> tuple[Control, ...]:
    """Return the quantisers whose codes have so many bits."""
    return (
        Control(f"int{bits}, scale per row", lambda w: round_to_nearest(w, bits, None), lambda cols: bits + 16 / cols),
        Control(f"int{bits}, searched scale per row", lambda w: round_to_nearest(w, bits, None, True),
                lambda cols: bits + 16 / cols),
        Control(f"int{bits}, scale per 128", lambda w: round_to_nearest(w, bits, 128), lambda cols: bits + 16 / 128),
        Control(f"int{bits}, searched scale per 128", lambda w: round_to_nearest(w, bits, 128, True),
                lambda cols: bits + 16 / 128),
        Control(f"bfp{bits}, 8-bit exponent per 32", lambda w: block_floating_point(w, bits, 32),
                lambda cols: bits + 8 / 32))


CONTROLS = {bits: _controls(bits) for bits in (4, 3)}
"""Quantisers by the bits of their codes."""
