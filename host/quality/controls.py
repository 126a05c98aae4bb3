"""Data-free quantisers to compare SeedLM with: round to nearest with scales in FP16, and block floating point.

Each takes a float matrix (rows, columns) and returns the float64 matrix that its codes stand for. A scale is either the
one that the greatest weight needs, or it is searched as :func:`golden.integers.searched_scales` says. Groups of 128 are
those of the formats int4 and int3, whose engines run in simulation too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from golden.integers import greatest_scales, nearest_codes, quantise, searched_scales
from golden.layout import StreamLayout
from golden.spec import INT3, INT4, SCALE_BITS, GroupFormat, WeightFormat

__all__ = ["CONTROLS", "Control", "block_floating_point", "format_bits", "round_rows", "row_bits"]

Bits = Callable[[int], float]
"""Returns the bits that are stored for a weight, of a matrix of so many columns: codes, scales and padding."""


def format_bits(fmt: WeightFormat) -> Bits:
    """Return the stored bits of one of the engine's formats."""
    layout = StreamLayout(fmt)
    return lambda cols: layout.blocks(cols) * fmt.block_bits / cols


def row_bits(bits: int) -> Bits:
    """Return the stored bits of integers of ``bits`` bits with an FP16 scale for each row."""
    return lambda cols: bits + SCALE_BITS / cols


def round_rows(weights: np.ndarray, bits: int, search: bool) -> np.ndarray:
    """Round to integers of ``bits`` bits with an FP16 scale for each row, which is searched or not."""
    rows = weights.astype(np.float64)
    scales = (searched_scales if search else greatest_scales)(rows, bits)
    return nearest_codes(rows, scales, bits) * scales.astype(np.float64)[:, None]


def block_floating_point(weights: np.ndarray, bits: int, group: int) -> np.ndarray:
    """Round to integers of ``bits`` bits with one power of two for every ``group`` weights of a row.

    The power is the one of least squared error among three: the least one at which the integer of the largest weight
    has no redundant sign bit, and the two below it, which cut large weights off. A smaller one would cut off more than
    three quarters of the largest weight.
    """
    groups = np.pad(weights, ((0, 0), (0, -weights.shape[1] % group))).reshape(-1, group).astype(np.float64)
    _, power = np.frexp(np.abs(groups).max(axis=1, keepdims=True))
    best, least = np.zeros_like(groups), np.full((len(groups), 1), np.inf)
    for below in range(3):
        shift = power - (bits - 1) - below
        codes = np.rint(np.ldexp(groups, -shift)).clip(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        restored = np.ldexp(codes, shift)
        error = np.square(restored - groups).sum(axis=1, keepdims=True)
        best, least = np.where(error < least, restored, best), np.minimum(error, least)
    return best.reshape(len(weights), -1)[:, :weights.shape[1]]


@dataclass(frozen=True)
class Control:
    """A quantiser.

    Parameters
    ----------
    name : str
    restore : callable
        Returns what its codes of a matrix stand for.
    bits_per_weight : Bits
    """

    name: str
    restore: Callable[[np.ndarray], np.ndarray]
    bits_per_weight: Bits


def _controls(bits: int, fmt: GroupFormat) -> tuple[Control, ...]:
    """Return the quantisers whose codes have so many bits; ``fmt`` is the one with groups of 128."""
    return (
        Control(f"int{bits}, scale per row", lambda w: round_rows(w, bits, False), row_bits(bits)),
        Control(f"int{bits}, searched scale per row", lambda w: round_rows(w, bits, True), row_bits(bits)),
        Control(f"int{bits}, scale per 128", lambda w: quantise(w, fmt, False).weights(), format_bits(fmt)),
        Control(f"int{bits}, searched scale per 128", lambda w: quantise(w, fmt).weights(), format_bits(fmt)),
        Control(f"bfp{bits}, 8-bit exponent per 32", lambda w: block_floating_point(w, bits, 32),
                lambda cols: bits + 8 / 32))


CONTROLS = {4: _controls(4, INT4), 3: _controls(3, INT3)}
"""Quantisers by the bits of their codes."""
