"""Metrics: what an error in the weights of a block counts.

A metric is a matrix M of c x c numbers, and an error e of a block counts ||M e||^2. The identity gives the plain
squared error, a diagonal weighs channels, and a factor of E[x x^T] gives the error of the products with activations x.
"""

from typing import NamedTuple

import numpy as np

from golden.spec import BlockFormat
from host.errors import UserError

__all__ = ["Metric", "channel_metrics", "channel_numbers", "kernel_metric", "plain_metric"]

_WIDEST = 64.0
"""How much slack the bounds of the search have at most, relative to those without a metric: a third of a per cent of a
block's squared norm, which lets some dozens of seeds more be tried."""


class Metric(NamedTuple):
    """A metric as the kernel takes it.

    ``matrix`` is (c, c), float64, and its greatest singular value is at most 1. ``widened``, at least 1, says how much
    more ill-conditioned than U itself the product of the matrix and a well-conditioned U may be.
    """

    matrix: np.ndarray
    widened: float


def plain_metric(fmt: BlockFormat) -> Metric:
    """Return the metric of the plain squared error."""
    return Metric(np.eye(fmt.c), 1.0)


def kernel_metric(matrix: np.ndarray) -> Metric:
    """Return a metric as the kernel takes it: times a power of two, which makes no difference to which code is best.

    Parameters
    ----------
    matrix : float64 array, (c, c)
        Finite. Where it is zero, all errors of a block count nothing, and the plain squared error is taken.
    """
    values = np.linalg.svd(matrix, compute_uv=False)
    if not values[0]:
        return Metric(np.eye(len(matrix)), 1.0)
    # The last digits of a singular value are rounding, and 1 itself needs no factor.
    power = int(np.ceil(np.log2(values[0] * (1 - 1e-9))))
    with np.errstate(divide="ignore"):
        mean = float(np.exp(np.log(np.ldexp(values, -power)).mean()))  # the geometric one: zero if one of them is
    return Metric(np.ldexp(matrix, -power), min(max(1 / mean, 1.0), _WIDEST) if mean else _WIDEST)


def channel_numbers(channel_weights: np.ndarray, cols: int) -> np.ndarray:
    """Return what errors in channels count: float64, (cols,). UserError when they are not ``cols`` finite numbers of
    zero or more."""
    given = np.asarray(channel_weights)
    with np.errstate(over="ignore"):
        values = given.astype(np.float64) if given.dtype.kind in "iuf" else np.full(1, np.nan)
    if values.shape != (cols,) or not np.isfinite(values).all() or (values < 0).any():
        raise UserError(f"channel weights must be {cols} finite numbers of zero or more, one for each column, not "
                        f"{given.dtype} of shape {given.shape}")
    return values


def channel_metrics(channel_weights: np.ndarray, cols: int, fmt: BlockFormat) -> list[Metric]:
    """Return the metric of each block column, in which errors are multiplied by what their channels weigh.

    The zeros that pad the last block weigh as much as the last column. Where all channels of a block weigh nothing,
    they count alike. UserError as for :func:`channel_numbers`.
    """
    values = channel_numbers(channel_weights, cols)
    blocks = np.pad(values, (0, -cols % fmt.c), mode="edge").reshape(-1, fmt.c)
    return [kernel_metric(np.diag(block)) for block in blocks]
