"""The codes of the engine's formats, and integers with a scale for each row, as variants take them."""

from collections.abc import Callable, Mapping

import numpy as np

from golden.integers import quantise
from golden.layout import StreamLayout
from golden.product import Weights
from golden.spec import SCALE_BITS, BlockFormat, GroupFormat
from host.encoder.cache import compressed
from host.encoder.encoder import Mode
from host.perplexity.variant import Shared
from host.quality.controls import round_rows

__all__ = ["group_bits", "groups", "row_bits", "rows", "seedlm", "seedlm_bits"]


def rows(matrices: Mapping[str, np.ndarray], shared: Shared | None, bits: int, search: bool) -> Mapping[str, Weights]:
    """Return integers of ``bits`` bits under an FP16 scale for each row, which is searched or not."""
    return {name: round_rows(weights, bits, search) for name, weights in matrices.items()}


def row_bits(bits: int) -> Callable[[int], float]:
    """Return the bits for a weight of integers with a scale for each row, as :class:`Variant` takes them."""
    return lambda cols: bits + SCALE_BITS / cols


def groups(matrices: Mapping[str, np.ndarray], shared: Shared | None, fmt: GroupFormat,
           search: bool) -> Mapping[str, Weights]:
    """Return integers under an FP16 scale for each group, which is searched or not."""
    return {name: quantise(weights, fmt, search) for name, weights in matrices.items()}


def group_bits(fmt: GroupFormat) -> Callable[[int], float]:
    """Return the bits for a weight of a format with groups, as :class:`Variant` takes them."""
    return lambda cols: StreamLayout(fmt).blocks(cols) * fmt.block_bits / cols


def seedlm(matrices: Mapping[str, np.ndarray], shared: Shared | None, fmt: BlockFormat,
           mode: Mode) -> Mapping[str, Weights]:
    """Return SeedLM's codes, found by a mode of the search."""
    return {name: compressed(weights, fmt, mode=mode) for name, weights in matrices.items()}


def seedlm_bits(fmt: BlockFormat) -> Callable[[int], float]:
    """Return the bits for a weight of one of SeedLM's formats, as :class:`Variant` takes them."""
    return lambda cols: -(-cols // fmt.c) * fmt.block_bits / cols
