"""Codes of matrices whose inputs are rotated: integers, and the trellis code, which has to do without groups.

What the codes stand for is rotated back here, so that the model reads its inputs as ever: a product of rotated weights
with rotated inputs is the same number, but for rounding.
"""

from collections.abc import Mapping

import numpy as np

from golden.formats.trellis import TrellisFormat
from golden.integers import quantise
from golden.product import Weights
from golden.spec import GroupFormat
from host.perplexity.variant import Shared
from host.quality.controls import in_rotation
from host.trellis.encoder import encode

__all__ = ["rotated_groups", "trellis"]


def rotated_groups(matrices: Mapping[str, np.ndarray], shared: Shared | None,
                   fmt: GroupFormat) -> Mapping[str, Weights]:
    """Return integers of rotated matrices, under a searched FP16 scale for each group."""
    return {name: in_rotation(weights, lambda each: quantise(each, fmt).weights())
            for name, weights in matrices.items()}


def trellis(matrices: Mapping[str, np.ndarray], shared: Shared | None, fmt: TrellisFormat,
            rotated: bool) -> Mapping[str, Weights]:
    """Return trellis codes of matrices, which are rotated or not."""
    def restored(weights: np.ndarray) -> np.ndarray:
        return encode(weights, fmt).weights()

    return {name: in_rotation(weights, restored) if rotated else restored(weights)
            for name, weights in matrices.items()}
