"""GPTQ: a column is rounded, and the columns behind it make up for its error on the calibration's inputs.

Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, 2022 (arXiv
2210.17323), algorithm 1, as in the authors' program: groups of 128 whose grid is fitted when the group is reached, the
columns in their order, 1 % of the mean diagonal for damping.
"""

from collections.abc import Mapping

import numpy as np
import torch

from golden.product import Weights
from host.perplexity.grids import fitted_grid, group_slices
from host.perplexity.variant import Shared

__all__ = ["gptq", "gptq_code"]

_DAMPING = 0.01


def _upper_factor(moment: np.ndarray) -> np.ndarray:
    """Return U of the damped second moment's inverse, which is Uᵀ U: float64, (columns, columns)."""
    damped = torch.from_numpy(moment).double()
    mean = float(damped.diagonal().mean())
    damped = damped + torch.eye(len(damped), dtype=torch.float64) * (_DAMPING * mean or 1.0)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True).numpy()


def gptq(weights: np.ndarray, moment: np.ndarray, bits: int) -> np.ndarray:
    """Return the float64 matrix that the codes of a float matrix (rows, columns) stand for.

    Parameters
    ----------
    moment : float array, (columns, columns)
        Mean of x xᵀ over the inputs of the matrix.
    """
    upper, left = _upper_factor(moment), weights.astype(np.float64)
    restored = np.empty_like(left)
    for part in group_slices(weights.shape[1]):
        grid = fitted_grid(left[:, part], bits)
        errors = np.empty_like(left[:, part])
        for column in range(part.start, part.stop):
            restored[:, column] = grid.nearest(left[:, column:column + 1])[:, 0]
            error = (left[:, column] - restored[:, column]) / upper[column, column]
            left[:, column:part.stop] -= np.outer(error, upper[column, column:part.stop])
            errors[:, column - part.start] = error
        left[:, part.stop:] -= errors @ upper[part, part.stop:]
    return restored


def gptq_code(matrices: Mapping[str, np.ndarray], shared: Shared | None, bits: int) -> Mapping[str, Weights]:
    """Return :func:`gptq` of each matrix, as a :data:`host.perplexity.variant.Code`."""
    assert shared
    return {name: gptq(weights, shared.moments.own, bits) for name, weights in matrices.items()}
