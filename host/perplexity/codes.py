"""The codes of the engine's formats, and integers with a scale for each row, as variants take them."""

from collections.abc import Mapping

import numpy as np

from golden.integers import quantise
from golden.product import Weights
from golden.spec import BlockFormat, GroupFormat
from host.encoder.cache import compressed
from host.encoder.encoder import Mode
from host.perplexity.variant import Shared
from host.quality.controls import round_rows

__all__ = ["groups", "rows", "seedlm"]


def rows(matrices: Mapping[str, np.ndarray], shared: Shared | None, bits: int, search: bool) -> Mapping[str, Weights]:
    """Return integers of ``bits`` bits under an FP16 scale for each row, which is searched or not."""
    return {name: round_rows(weights, bits, search) for name, weights in matrices.items()}


def groups(matrices: Mapping[str, np.ndarray], shared: Shared | None, fmt: GroupFormat,
           search: bool) -> Mapping[str, Weights]:
    """Return integers under an FP16 scale for each group, which is searched or not."""
    return {name: quantise(weights, fmt, search) for name, weights in matrices.items()}


def seedlm(matrices: Mapping[str, np.ndarray], shared: Shared | None, fmt: BlockFormat,
           mode: Mode) -> Mapping[str, Weights]:
    """Return SeedLM's codes, found by a mode of the search."""
    return {name: compressed(weights, fmt, mode=mode) for name, weights in matrices.items()}
