"""Codes of matrices whose inputs are rotated, and the trellis code, which is of no use to real models without that.

What such codes stand for is rotated back here, so that the model reads its inputs as ever: a product of rotated weights
with rotated inputs is the same number, but for rounding.
"""

from collections.abc import Mapping

import numpy as np

from golden.integers import quantise
from golden.product import Weights
from golden.rotation import restored_weights, rotated_weights
from golden.spec import GroupFormat
from golden.trellis.spec import TrellisFormat
from host.perplexity.variant import Shared
from host.trellis.encoder import encode

__all__ = ["rotated_groups", "trellis"]


def rotated_groups(matrices: Mapping[str, np.ndarray], shared: Shared | None,
                   fmt: GroupFormat) -> Mapping[str, Weights]:
    """Return integers of rotated matrices, under a searched FP16 scale for each group."""
    return {name: restored_weights(quantise(rotated_weights(weights), fmt).weights())
            for name, weights in matrices.items()}


def trellis(matrices: Mapping[str, np.ndarray], shared: Shared | None, fmt: TrellisFormat,
            rotated: bool) -> Mapping[str, Weights]:
    """Return trellis codes of matrices, which are rotated or not."""
    if not rotated:
        return {name: encode(weights, fmt).weights() for name, weights in matrices.items()}
    return {name: restored_weights(encode(rotated_weights(weights), fmt).weights())
            for name, weights in matrices.items()}
