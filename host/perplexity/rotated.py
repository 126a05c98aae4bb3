"""Codes of matrices whose inputs are rotated: integers, and codes with one scale for a row, SeedLM's and the trellis.

What the codes stand for is rotated back here, so that the model reads its inputs as ever: a product of rotated weights
with rotated inputs is the same number, but for rounding.
"""

from collections.abc import Mapping

import numpy as np

from golden.formats.trellis import TrellisFormat
from golden.integers import quantise
from golden.product import Weights
from golden.spec import BlockFormat, GroupFormat
from host.encoder.encoder import encode
from host.perplexity.variant import Shared
from host.quality.controls import in_rotation
from host.trellis.encoder import encode as encode_trellis

__all__ = ["rotated_groups", "rotated_rows", "trellis"]


def rotated_groups(matrices: Mapping[str, np.ndarray], shared: Shared | None,
                   fmt: GroupFormat) -> Mapping[str, Weights]:
    """Return integers of rotated matrices, under a searched FP16 scale for each group."""
    return {name: in_rotation(weights, lambda each: quantise(each, fmt).weights())
            for name, weights in matrices.items()}


def rotated_rows(matrices: Mapping[str, np.ndarray], shared: Shared | None,
                 fmt: BlockFormat) -> Mapping[str, Weights]:
    """Return SeedLM's codes of rotated matrices, under a searched FP16 scale for each row."""
    return {name: in_rotation(weights, lambda each: encode(each, fmt).weights()) for name, weights in matrices.items()}


def trellis(matrices: Mapping[str, np.ndarray], shared: Shared | None, fmt: TrellisFormat,
            rotated: bool) -> Mapping[str, Weights]:
    """Return trellis codes of matrices, which are rotated or not."""
    def restored(weights: np.ndarray) -> np.ndarray:
        return encode_trellis(weights, fmt).weights()

    return {name: in_rotation(weights, restored) if rotated else restored(weights)
            for name, weights in matrices.items()}
