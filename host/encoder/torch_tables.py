"""What the search in PyTorch knows about seeds before it has seen a weight, and the bounds that follow from it.

Let Q be an orthonormal basis of the columns of U, and v a block divided by its norm. No code of a seed leaves less of
the block than its residual 1 - ||Q^T v||^2, relative to the squared norm. That is a sum over the products v[i] v[j], so
the residuals of all seeds and many blocks are *one* matrix product: features of the blocks times features of the seeds.

GPUs multiply half-precision numbers fastest. Each feature is split there into a number and the rest that rounding left,
and three products are added up, so that a residual is off by :attr:`Tables.slack` at most.
"""

from collections.abc import Callable
from functools import cache, cached_property, lru_cache, partial
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from golden.projection import u_matrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat

__all__ = ["TILE", "Tables", "firsts", "tables"]

TILE = 128
"""Number of seeds of a tile, whose least residual is looked for first. They are as far from each other as there are
tiles: a GPU then finds the least of all tiles at the full speed of its memory."""
_SEGMENT = 1 << 16  # seeds of a table
_KEPT = 4  # tables that a device keeps
_GREATEST = 2.0 ** 14
"""The greatest residual that is told from greater ones."""
_SUM_ROUNDING = 2.0 ** -22
"""Rounding of each addition in a product, relative to the sum of the magnitudes: GPUs add up half-precision products in
float32, and cut bits off in place of rounding (Fasi et al., Numerical behavior of NVIDIA tensor cores, 2021)."""


def _split(values: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return values in a shorter type, and in the same type what that leaves of them."""
    short = values.to(dtype)
    return short, (values - short).to(dtype)


class Tables:
    """The matrices U of the seeds from ``first`` on, and what follows from them, on a device.

    ``u`` is (seeds, c, p), float64; U = Q R with the Q and R of :meth:`basis`. With more columns than weights, Q is the
    identity and R is U. ``seed_features`` is (features, seeds), padded to whole tiles with seeds whose residual is
    beyond all others. ``powers`` are all exponents and ``every`` all codes; ``around`` is 0, 1, -1, and ``one`` is 1.

    Parameters
    ----------
    first : int
        The first seed.
    dtype : torch.dtype
        Of the product, float16 or float64.
    """

    def __init__(self, fmt: BlockFormat, first: int, device: str, dtype: torch.dtype) -> None:
        self.first, self.dtype = first, dtype
        seeds = np.arange(first, min(first + _SEGMENT, fmt.seeds + 1))
        u = u_matrix(seeds, fmt)
        if fmt.c >= fmt.p:
            q, r = np.linalg.qr(u)  # PyTorch takes seconds to minutes for many small matrices
        else:  # the columns span everything, so every residual is zero: this serves the modes that round
            q, r = np.tile(np.eye(fmt.c), (len(seeds), 1, 1)), u
        self.u = torch.from_numpy(u).to(device)
        self._shape = fmt.c, q.shape[2], fmt.p
        self._basis = torch.from_numpy(np.concatenate([q.reshape(len(u), -1), r.reshape(len(u), -1)], 1)).to(device)
        self.one = torch.ones((), device=device, dtype=torch.float64)
        self.powers = torch.arange(EXP_MIN, EXP_MAX + 1, device=device)
        self.around = torch.tensor([0, 1, -1], device=device)
        self.every = torch.arange(fmt.coef_min, fmt.coef_max + 1, device=device, dtype=torch.float64)
        self._rows, self._columns = torch.triu_indices(fmt.c, fmt.c, device=device).unbind()
        self._twice = torch.where(self._rows == self._columns, 1.0, 2.0).double()
        q = torch.from_numpy(q).to(device)
        products = -(q[:, self._rows] * q[:, self._columns]).sum(dim=2)
        one = torch.ones_like(products[:, :1]).to(dtype)
        high, low = _split(products, dtype)
        columns = torch.cat([one, high, high, low] if dtype == torch.float16 else [one, high], dim=1).T
        self.seed_features = torch.zeros(-(-columns.shape[0] // 8) * 8, -(-len(seeds) // TILE) * TILE, device=device,
                                         dtype=dtype)
        self.seed_features[0, len(seeds):] = 2 * _GREATEST
        self.seed_features[:len(columns), :len(seeds)] = columns
        self.slack = self._slack(fmt)

    def basis(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Q and R of seeds, which are given as indices into the tables, (n,): (n, c, columns) and (n, columns, p)."""
        c, columns, p = self._shape
        both = self._basis.index_select(0, at)
        return both[:, :c * columns].unflatten(1, (c, columns)), both[:, c * columns:].unflatten(1, (columns, p))

    @cached_property
    def pinv(self) -> Tensor:
        """The pseudo-inverses of U, by NumPy, so that rounding agrees with golden's."""
        return torch.from_numpy(np.linalg.pinv(self.u.cpu().numpy())).to(self.u.device)

    def _slack(self, fmt: BlockFormat) -> float:
        """The most by which a residual is too high. The magnitudes of what is added up are 1 and, together, at most the
        norm sqrt(p) of Q Q^T; no feature is beyond 1."""
        eps, tiny = torch.finfo(self.dtype).eps / 2, torch.finfo(self.dtype).smallest_normal * torch.finfo(
            self.dtype).eps / 2
        features = fmt.c * (fmt.c + 1) // 2
        # Halves: what the rests leave of both factors, and the product of the rests. Float64: both are rounded.
        inputs = 3 * eps ** 2 if self.dtype == torch.float16 else 2 * eps
        return (1.01 * inputs * sqrt(fmt.p) + 4 * features * tiny
                + _SUM_ROUNDING * len(self.seed_features) * (1 + 2 * sqrt(fmt.p)))

    def least(self, w: Tensor) -> Tensor:
        """Lower bounds of what every seed leaves of blocks, less :meth:`allowance`.

        Parameters
        ----------
        w : float64 tensor, (n, c)
            Blocks.

        Returns
        -------
        (n, TILE, tiles), of the product's type
        """
        v = w / w.norm(dim=1, keepdim=True).clamp_min(1e-300)
        products = v[:, self._rows] * v[:, self._columns] * self._twice
        high, low = _split(products, self.dtype)
        one = torch.ones_like(high[:, :1])
        parts = [one, high, low, high] if self.dtype == torch.float16 else [one, high]
        features = torch.cat(parts, dim=1)
        features = torch.nn.functional.pad(features, (0, len(self.seed_features) - features.shape[1]))
        return (features @ self.seed_features).view(len(w), TILE, -1)

    def highest(self, error: Tensor) -> Tensor:
        """The greatest number of :meth:`least` that a seed can have which leaves ``error`` of a block, relative to its
        squared norm: both of shape (n,)."""
        eps = torch.finfo(self.dtype).eps
        # The second rounding is that of the sum itself to the type.
        highest = (error + self.slack) * (1 + eps) + torch.finfo(self.dtype).smallest_normal
        return highest.clamp_max(_GREATEST).to(torch.promote_types(self.dtype, torch.float32))


@cache
def _kept(device: str) -> Callable[..., Tables]:
    """Return what makes :class:`Tables` on a device, and keeps some of them: devices do not take each other's place."""
    return lru_cache(maxsize=_KEPT)(partial(Tables, device=device))


def tables(fmt: BlockFormat, first: int, device: str, dtype: torch.dtype) -> Tables:
    """Return :class:`Tables`, made once: some 100 MB for a segment of 65,536 seeds."""
    return _kept(device)(fmt, first, dtype=dtype)


def firsts(fmt: BlockFormat) -> range:
    """First seeds of the segments in which tables are made."""
    return range(1, fmt.seeds + 1, _SEGMENT)
