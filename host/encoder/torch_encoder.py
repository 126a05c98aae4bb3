"""The seed search in PyTorch, for CUDA devices: it finds the same minimum as :mod:`host.encoder.encoder`.

Let Q be an orthonormal basis of the columns of U. Then ||w||^2 - ||Q^T w||^2 is a lower bound of every quantised error
of the block w. The energies ||Q^T w||^2 of all seeds and of a batch of blocks are one matrix product in float32. Seeds
are then tried in falling order of energy, a few of every block at a time, in float64, until no bound is below the best
error. A trial is exact: it visits every exponent and every choice of all codes but the first, for which the first code
has one best value.
"""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from golden.block import CompressedMatrix
from golden.projection import u_matrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat
from host.encoder.encoder import Mode, say_if_lost, searchable
from host.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["encode_torch"]

_SEGMENT = 1 << 16  # seeds whose tables are on the device at a time
_TRIED = 4  # seeds of a block that are tried at a time: few, because the first trials rule out most of the others
_GREATEST_P = 5  # a trial visits 16**p / 16 codes for each exponent
_ELEMENTS = 1 << 22  # float64 numbers of the trials at a time, 32 MiB
_SLACK = 4 * 6e-8  # rounding of a float32 sum for each of its terms: bounds are lowered by it, so that they hold


class _Segment:
    """The matrices U of ``_SEGMENT`` seeds from ``first`` on, and what follows from them, on the device.

    ``u`` and ``q`` are (seeds, c, p), ``r`` is (seeds, p, p) and ``pinv`` is (seeds, p, c), all float64, with U = Q R.
    ``basis`` is Q once more, in float32 as (c, seeds * p), for the product with all blocks at once. With more columns
    than weights, q is the identity and r is U.
    """

    def __init__(self, fmt: BlockFormat, first: int, device: str) -> None:
        import torch

        self.first = first
        seeds = np.arange(first, min(first + _SEGMENT, fmt.seeds + 1))
        self.u = torch.from_numpy(u_matrix(seeds, fmt)).to(device)
        if fmt.c >= fmt.p:
            self.q, self.r = torch.linalg.qr(self.u)
        else:  # the columns span everything, so every bound is zero: this serves the modes that round
            self.q, self.r = torch.eye(fmt.c, device=device, dtype=torch.float64).expand(len(seeds), -1, -1), self.u
        self.pinv = torch.linalg.pinv(self.u, rtol=1e-15)  # NumPy's tolerance, so that rounding agrees with golden's
        self.basis = self.q.permute(1, 0, 2).reshape(fmt.c, -1).float()


def _times_power(values: "Tensor", power: "Tensor") -> "Tensor":
    """Return ``values * 2**power`` in float64, exact on every device, which ``torch.ldexp`` is not.

    ``power`` is -1022 to 1023; it becomes the exponent field of a float64.
    """
    import torch

    return values * ((power.long() + 1023) << 52).view(torch.float64)


def _rounded(segment: _Segment, at: "Tensor", w: "Tensor", scale: "Tensor", fmt: BlockFormat,
             mode: Mode) -> tuple["Tensor", "Tensor"]:
    """Round as golden does, for n pairs of a seed and a block.

    Parameters
    ----------
    at : int64 tensor, (n,)
        Seeds, as indices into the segment.
    w : float64 tensor, (n, c)
        Blocks, each divided by ``2**scale``.
    scale : int tensor, (n,)

    Returns
    -------
    (n,) and (n, p)
        Exponents and codes.
    """
    import torch

    t = torch.einsum("npc,nc->np", segment.pinv[at], w)
    _, power = torch.frexp(t.abs().amax(dim=1))
    lowered = 0 if mode == "printed" else fmt.coef_bits - 2
    exponent = torch.where(t.any(dim=1), power + scale - 1 - lowered, EXP_MIN).clamp(EXP_MIN, EXP_MAX)
    codes = _times_power(t, (scale - exponent)[:, None]).round().clamp(fmt.coef_min, fmt.coef_max)
    return exponent, codes


def _exact(segment: _Segment, at: "Tensor", w: "Tensor", scale: "Tensor", fmt: BlockFormat) -> tuple[
        "Tensor", "Tensor"]:
    """Find the exponents and codes of least error for n pairs of a seed and a block. As :func:`_rounded` otherwise."""
    import torch

    r, y = segment.r[at], torch.einsum("ncp,nc->np", segment.q[at], w)
    every = range(fmt.coef_min, fmt.coef_max + 1)
    # Every choice of the codes but the first: (g, p - 1).
    others = torch.tensor(list(itertools.product(every, repeat=fmt.p - 1)), dtype=torch.float64, device=w.device)
    powers = torch.arange(EXP_MIN, EXP_MAX + 1, device=w.device)
    step = _times_power(torch.ones_like(w[:, :1]), powers - scale[:, None])  # what a code of 1 stands for: (n, 16)
    reached = torch.einsum("npo,go->npg", r[:, :, 1:], others)  # their share in each coordinate of Q^T w
    left = y[:, :, None, None] - step[:, None, :, None] * reached[:, :, None, :]  # (n, p, 16, g)
    # R is triangular, so the first code changes the first coordinate alone: its best value is the nearest one.
    pitch = (step * r[:, :1, 0])[..., None]
    first = torch.where(pitch != 0, left[:, 0] / pitch, 0.0).round().clamp(fmt.coef_min, fmt.coef_max)
    error = (left[:, 0] - pitch * first).square() + left[:, 1:].square().sum(dim=1)
    best = error.flatten(1).argmin(dim=1)
    chosen = first.flatten(1).gather(1, best[:, None])
    return powers[best // len(others)], torch.cat([chosen, others[best % len(others)]], dim=1)


class _Search:
    """The best codes found so far for one batch of n blocks.

    ``w`` holds the blocks, (n, c) float64, each divided by ``2**scale`` so that its greatest magnitude is in [0.5, 1).
    ``norm`` and ``error`` are the squared norm and the least squared error of these scaled blocks.
    """

    def __init__(self, weights: "Tensor", fmt: BlockFormat, mode: Mode) -> None:
        import torch

        self.fmt, self.mode = fmt, mode
        greatest = weights.abs().amax(dim=1)
        self.scale = torch.where(greatest > 0, torch.frexp(greatest)[1], 0)
        self.w = _times_power(weights, -self.scale[:, None])
        self.norm = self.w.square().sum(dim=1)
        # An exact search can always choose zero codes, whose error is the norm. Rounding makes zero codes of zero
        # blocks alone.
        self.error = torch.where((self.norm == 0) | (mode == "exact"), self.norm, torch.inf)
        self.seed = torch.ones_like(self.scale, dtype=torch.int64)
        self.exponent = torch.full_like(self.seed, EXP_MIN)
        self.codes = torch.zeros((len(weights), fmt.p), dtype=torch.float64, device=weights.device)

    def run(self, segment: _Segment) -> None:
        """Improve on the best codes with the seeds of a segment."""
        fmt = self.fmt
        energy = (self.w.float() @ segment.basis).reshape(len(self.w), -1, min(fmt.p, fmt.c)).square().sum(dim=2)
        slack = _SLACK * (fmt.c + fmt.p + 8) * self.norm
        tried = min(_TRIED, energy.shape[1])
        rows = max(_ELEMENTS // (tried * 16 * fmt.p * 16 ** (fmt.p - 1)), 1)
        while True:
            top, at = energy.topk(tried, dim=1)
            open_ = (self.norm - top[:, 0] - slack < self.error) & (self.norm > 0) & (top[:, 0] >= 0)
            index = open_.nonzero().flatten()
            if not len(index):
                return
            for part in index.split(rows):
                self._try(segment, part.repeat_interleave(tried), at[part].flatten(), tried)
            energy[index[:, None], at[index]] = -1  # these seeds have been tried

    def _try(self, segment: _Segment, block: "Tensor", at: "Tensor", tried: int) -> None:
        """Try pairs of a block and a seed; the ``tried`` pairs of each block are neighbours."""
        import torch

        w, scale = self.w[block], self.scale[block]
        exponent, codes = (_exact(segment, at, w, scale, self.fmt) if self.mode == "exact" else
                           _rounded(segment, at, w, scale, self.fmt, self.mode))
        restored = torch.einsum("ncp,np->nc", segment.u[at], _times_power(codes, (exponent - scale)[:, None]))
        error = (w - restored).square().sum(dim=1).reshape(-1, tried)
        least, which = error.min(dim=1)
        of = block[::tried]
        better = least < self.error[of]
        winner = (torch.arange(len(of), device=of.device) * tried + which)[better]
        of = of[better]
        self.error[of], self.seed[of] = least[better], at[winner] + segment.first
        self.exponent[of], self.codes[of] = exponent[winner].long(), codes[winner]


def _require_encodable(fmt: BlockFormat, mode: Mode, device: str) -> None:
    """Refuse what :func:`encode_torch` cannot compress.

    Raises
    ------
    UserError
    """
    try:
        import torch
    except ImportError:
        raise UserError("this needs PyTorch: pip install 'seedlm-fpga[torch]'") from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"PyTorch finds no CUDA device for {device!r}: use the encoder for processors")
    if mode == "exact" and fmt.p > min(fmt.c, _GREATEST_P):
        raise UserError(f"format {fmt.name} has too many coefficients for PyTorch: choose p <= c and p <= "
                        f"{_GREATEST_P}, or use the encoder for processors")


def encode_torch(weights: np.ndarray, fmt: BlockFormat, mode: Mode = "exact", *,
                 exponent_bias: int | Literal["auto"] = "auto", device: str = "cuda", batch: int = 512,
                 progress: Callable[[int, int], None] | None = None) -> CompressedMatrix:
    """Compress a matrix as :func:`host.encoder.encoder.encode` does, on a PyTorch device.

    Errors are equal to those of the encoder for processors. Where several seeds have the same error, this one may
    choose another.

    Parameters
    ----------
    device : str
        ``cuda``, ``cuda:1``, ``cpu``.
    batch : int
        Blocks at a time; each takes about a megabyte of the device's memory.

    Raises
    ------
    UserError
        As :func:`host.encoder.encoder.encode`, and when PyTorch or the device is not there, or the format has more than
        five coefficients.
    """
    _require_encodable(fmt, mode, device)
    import torch

    weights, bias = searchable(weights, fmt, exponent_bias)
    rows, cols = weights.shape
    per_row = -(-cols // fmt.c)
    blocks = np.pad(weights.astype(np.float64), ((0, 0), (0, per_row * fmt.c - cols))).reshape(-1, fmt.c)
    blocks = np.ldexp(blocks, -bias)
    searches = [_Search(torch.from_numpy(blocks[start:start + batch]).to(device), fmt, mode)
                for start in range(0, len(blocks), batch)]
    firsts = range(1, fmt.seeds + 1, _SEGMENT)
    for n, first in enumerate(firsts):
        segment = _Segment(fmt, first, device)
        for done, search in enumerate(searches):
            search.run(segment)
            if progress:
                progress(n * len(blocks) + min((done + 1) * batch, len(blocks)), len(firsts) * len(blocks))

    def joined(name: str, dtype: type) -> np.ndarray:
        values = torch.cat([getattr(search, name) for search in searches]).cpu().numpy().astype(dtype)
        return values.reshape(rows, per_row, *values.shape[1:])

    return say_if_lost(weights, CompressedMatrix(fmt, (rows, cols), joined("seed", np.uint32),
                                                 joined("exponent", np.int8), joined("codes", np.int8), bias))
