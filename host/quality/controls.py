"""Data-free quantisers to compare SeedLM with: round to nearest with scales in FP16, and block floating point.

Each takes a float matrix (rows, columns) and returns the float64 matrix that its codes stand for. A scale is either the
one that the greatest weight needs, or it is searched as :func:`golden.integers.searched_scales` says. Groups of 128 are
those of the formats int4 and int3, whose engines run in simulation too. Beside them are the trellis code and SeedLM
with a scale for each row. These and groups of 128 have rotated matrices, too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from golden.integers import greatest_scales, nearest_codes, quantise, searched_scales
from golden.layout import StreamLayout
from golden.product import restored
from golden.rotation import restored_weights, rotated_weights
from golden.spec import (
    INT3,
    INT4,
    ROTATION_BLOCK,
    SCALE_BITS,
    SEEDLM3R,
    SEEDLM4R,
    TRELLIS3,
    TRELLIS4,
    BlockFormat,
    GroupFormat,
    TrellisFormat,
    WeightFormat,
)
from host.codes import coded

__all__ = ["CONTROLS", "Control", "block_floating_point", "format_bits", "in_rotation", "round_rows", "row_bits"]

Restore = Callable[[np.ndarray], np.ndarray]
"""Returns what codes of a matrix stand for."""
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


def in_rotation(weights: np.ndarray, restored: Restore) -> np.ndarray:
    """Return what codes of a rotated matrix stand for, rotated back: float64. Where the rotation does not divide the
    columns into blocks, the codes are those of the matrix as it is."""
    if weights.shape[1] % ROTATION_BLOCK:
        return restored(weights)
    return restored_weights(restored(rotated_weights(weights)))


@dataclass(frozen=True)
class Control:
    """A quantiser.

    Parameters
    ----------
    name : str
    restore : Restore
    bits_per_weight : Bits
    """

    name: str
    restore: Restore
    bits_per_weight: Bits


def _controls(bits: int, fmt: GroupFormat, rows: BlockFormat, trellis: TrellisFormat) -> tuple[Control, ...]:
    """Return the quantisers whose codes have so many bits; ``fmt`` is the one with groups of 128.

    Of SeedLM's codes with a scale for each row only those of rotated matrices are here, as great outliers make the
    search slow.
    """
    def turned(each: WeightFormat) -> Restore:
        return lambda w: in_rotation(w, lambda rotated: restored(coded(rotated, each)))

    return (
        Control(f"int{bits}, scale per row", lambda w: round_rows(w, bits, False), row_bits(bits)),
        Control(f"int{bits}, searched scale per row", lambda w: round_rows(w, bits, True), row_bits(bits)),
        Control(f"int{bits}, scale per 128", lambda w: quantise(w, fmt, False).weights(), format_bits(fmt)),
        Control(f"int{bits}, searched scale per 128", lambda w: quantise(w, fmt).weights(), format_bits(fmt)),
        Control(f"bfp{bits}, 8-bit exponent per 32", lambda w: block_floating_point(w, bits, 32),
                lambda cols: bits + 8 / 32),
        Control(f"int{bits}, searched scale per 128, rotated", turned(fmt), format_bits(fmt)),
        Control(f"{rows.name}, rotated", turned(rows), format_bits(rows)),
        Control(trellis.name, lambda w: restored(coded(w, trellis)), format_bits(trellis)),
        Control(f"{trellis.name}, rotated", turned(trellis), format_bits(trellis)))


CONTROLS = {4: _controls(4, INT4, SEEDLM4R, TRELLIS4), 3: _controls(3, INT3, SEEDLM3R, TRELLIS3)}
"""Quantisers by the bits of their codes."""
