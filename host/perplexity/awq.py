"""AWQ: channels with large inputs are scaled up before rounding, and great weights are cut off where that helps.

Lin et al., AWQ: Activation-aware Weight Quantization, 2023 (arXiv 2306.00978), sections 3.2 and 4, as in the authors'
program: matrices that share an input share the scales of its channels, which the operation before them takes up at no
cost; the exponent of the scales is one of 20; the greatest weights of a group shrink by up to a half, except those of
queries and keys. Both are chosen for the least squared error of the matrices' own outputs, by their inputs' second
moment, in place of that of the whole attention or feed-forward block; a channel's size is the root of its mean square
in place of its mean magnitude.
"""

from collections.abc import Mapping

import numpy as np

from golden.product import Weights
from host.perplexity.grids import fitted_grid, group_slices, on_grid
from host.perplexity.variant import Shared

__all__ = ["awq", "awq_code"]

_EXPONENTS = np.arange(20) / 20
_SHRINKS = 1 - np.arange(10) / 20
_UNCUT = ("q_proj", "k_proj")


def _scales(moment: np.ndarray, exponent: float) -> np.ndarray:
    """Return the scales of channels, whose least and greatest are inverse to each other: float64, (columns,)."""
    sizes = np.sqrt(moment.diagonal().astype(np.float64)).clip(min=1e-4) ** exponent
    return sizes / np.sqrt(sizes.max() * sizes.min())


def _output_error(difference: np.ndarray, moment: np.ndarray) -> float:
    """Return the mean squared error of outputs, for weights that differ so."""
    narrow = difference.astype(np.float32)
    return float(np.einsum("rc,rc->", narrow @ moment.astype(np.float32), narrow))


def _cut(weights: np.ndarray, moment: np.ndarray, bits: int) -> np.ndarray:
    """Round a matrix to grids, where the greatest weights of each group are cut off for the least error of its part of
    the output."""
    restored = np.empty_like(weights)
    for part in group_slices(weights.shape[1]):
        own, metric = weights[:, part], moment[part, part].astype(np.float32)
        greatest = np.abs(own).max(axis=1, keepdims=True)
        least = np.full(len(own), np.inf)
        for shrink in _SHRINKS:
            kept = own.clip(-greatest * shrink, greatest * shrink)
            tried = fitted_grid(kept, bits).nearest(kept)
            difference = (tried - own).astype(np.float32)
            error = np.einsum("rc,rc->r", difference @ metric, difference)
            better = error < least
            restored[:, part][better], least = tried[better], np.minimum(error, least)
    return restored


def awq(matrices: Mapping[str, np.ndarray], moment: np.ndarray, scalable: bool, bits: int) -> dict[str, np.ndarray]:
    """Return the float64 matrices that the codes of float matrices (rows, columns), which share an input, stand for.

    Parameters
    ----------
    matrices : mapping
        Matrices by name.
    moment : float array, (columns, columns)
        Mean of x xᵀ over their inputs.
    scalable : bool
        Whether the operation before them can take up scales of channels.
    """
    best, least = np.ones(len(moment)), np.inf
    for exponent in _EXPONENTS if scalable else ():
        scales = _scales(moment, exponent)
        error = sum(_output_error(on_grid(weights * scales, bits) / scales - weights, moment)
                    for weights in matrices.values())
        if error < least:
            best, least = scales, error
    scaled_moment = moment / np.outer(best, best)
    return {name: (on_grid(weights * best, bits) if any(kind in name for kind in _UNCUT) else
                   _cut(weights * best, scaled_moment, bits)) / best for name, weights in matrices.items()}


def awq_code(matrices: Mapping[str, np.ndarray], shared: Shared | None, bits: int) -> Mapping[str, Weights]:
    """Return :func:`awq` of matrices, as a :data:`host.perplexity.variant.Code`."""
    assert shared
    return dict(awq(matrices, shared.moments.own, shared.scalable, bits))
