"""Codes of matrices whose inputs are rotated, and the trellis code, which is of no use to real models without that.

What the codes stand for is rotated back here, so that the model reads its inputs as ever: a product of rotated weights
with rotated inputs is the same number, but for rounding. A matrix whose columns the rotation does not divide into
blocks gets its codes without it.
"""

from collections.abc import Callable, Mapping

import numpy as np

from golden.formats.trellis import TrellisFormat
from golden.integers import quantise
from golden.product import Weights
from golden.rotation import restored_weights, rotated_weights
from golden.spec import ROTATION_BLOCK, GroupFormat
from host.perplexity.variant import Shared
from host.trellis.encoder import encode

__all__ = ["rotated_groups", "trellis"]


def _in_rotation(weights: np.ndarray, restored: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return what codes of a rotated matrix stand for, rotated back; ``restored`` says what those of a matrix do."""
    if weights.shape[1] % ROTATION_BLOCK:
        return restored(weights)
    return restored_weights(restored(rotated_weights(weights)))


def rotated_groups(matrices: Mapping[str, np.ndarray], shared: Shared | None,
                   fmt: GroupFormat) -> Mapping[str, Weights]:
    """Return integers of rotated matrices, under a searched FP16 scale for each group."""
    return {name: _in_rotation(weights, lambda each: quantise(each, fmt).weights())
            for name, weights in matrices.items()}


def trellis(matrices: Mapping[str, np.ndarray], shared: Shared | None, fmt: TrellisFormat,
            rotated: bool) -> Mapping[str, Weights]:
    """Return trellis codes of matrices, which are rotated or not."""
    def restored(weights: np.ndarray) -> np.ndarray:
        return encode(weights, fmt).weights()

    return {name: _in_rotation(weights, restored) if rotated else restored(weights)
            for name, weights in matrices.items()}
