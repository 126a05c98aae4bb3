"""NF4: sixteen levels at equal shares of a normal distribution, under the greatest magnitude of 64 weights.

Dettmers et al., QLoRA: Efficient Finetuning of Quantized LLMs, 2023 (arXiv 2305.14314), section 3 and appendix E. The
scale is an FP16 number here; the paper's second quantisation of the scales is left out.
"""

from collections.abc import Mapping

import numpy as np

from golden.product import Weights
from golden.spec import SCALE_BITS
from host.perplexity.variant import Shared

__all__ = ["LEVELS", "nf4", "nf4_bits", "nf4_code"]

LEVELS = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0])
"""The levels of appendix E."""
_GROUP = 64
_BITS = 4


def nf4_bits(cols: int) -> float:
    """Return the stored bits for one weight of a row of ``cols`` columns."""
    return _BITS + -(-cols // _GROUP) * SCALE_BITS / cols


def nf4(weights: np.ndarray) -> np.ndarray:
    """Return the float64 matrix that the codes of a float matrix (rows, columns) stand for."""
    rows, cols = weights.shape
    groups = np.pad(weights.astype(np.float64), ((0, 0), (0, -cols % _GROUP))).reshape(-1, _GROUP)
    scales = np.abs(groups).max(axis=1, keepdims=True).astype(np.float16).astype(np.float64)
    units = np.divide(groups, scales, out=np.zeros_like(groups), where=scales != 0)
    nearest = LEVELS[np.searchsorted((LEVELS[1:] + LEVELS[:-1]) / 2, units)]
    return (nearest * scales).reshape(rows, -1)[:, :cols]


def nf4_code(matrices: Mapping[str, np.ndarray], shared: Shared | None) -> Mapping[str, Weights]:
    """Return :func:`nf4` of each matrix, as a :data:`host.perplexity.variant.Code`."""
    return {name: nf4(weights) for name, weights in matrices.items()}
