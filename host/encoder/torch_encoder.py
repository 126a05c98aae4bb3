"""The exact search in PyTorch, for CUDA devices: the same minimum as :mod:`host.encoder.encoder`, other kernels.

For a batch of blocks the energies ||Q^T w||^2 of all seeds are one matrix product in float32, Q an orthonormal basis
of U's columns; ||w||^2 less the energy bounds every quantised error from below. Seeds are then tried in falling order
of energy, a few of every block at a time, in float64, until no bound is below the best error. A trial is exact: for
every exponent and every choice of the other codes the first code has one best value.
"""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from golden.block import CompressedMatrix
from golden.projection import u_matrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat
from host.encoder.encoder import Mode, exponent_bias_for
from host.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["encode_torch"]

_SEGMENT = 1 << 16  # seeds at a time
_TRIED = 4  # seeds of a block that are tried at a time
_GREATEST_P = 5  # a trial visits 16**p / 16 codes for each exponent
_ELEMENTS = 1 << 22  # float64 numbers in a trial at a time
_SLACK = 4 * 6e-8  # float32 rounding of a sum, for each of its terms


class _Segment:
    """U of some seeds and what follows from it: ``u``, ``q`` (seeds, c, p), ``r`` and ``pinv`` in float64; ``basis``,
    Q in float32 as (c, seeds * p)."""

    def __init__(self, fmt: BlockFormat, first: int, device: str) -> None:
        import torch

        self.first = first
        seeds = np.arange(first, min(first + _SEGMENT, fmt.seeds + 1))
        self.u = torch.from_numpy(u_matrix(seeds, fmt)).to(device)
        if fmt.c >= fmt.p:
            self.q, self.r = torch.linalg.qr(self.u)
        else:  # columns that span everything: no bound, and only rounding
            self.q, self.r = torch.eye(fmt.c, device=device, dtype=torch.float64).expand(len(seeds), -1, -1), self.u
        self.pinv = torch.linalg.pinv(self.u, rtol=1e-15)  # NumPy's, which golden takes
        self.basis = self.q.permute(1, 0, 2).reshape(fmt.c, -1).float()


def _times_power(values: "Tensor", power: "Tensor") -> "Tensor":
    """``values * 2**power`` in float64, exact on every device, as torch.ldexp is not; power -1022 to 1023."""
    import torch

    return values * ((power.long() + 1023) << 52).view(torch.float64)


def _rounded(segment: _Segment, at: "Tensor", w: "Tensor", scale: "Tensor", fmt: BlockFormat) -> tuple[
        "Tensor", "Tensor"]:
    """Exponents and codes by golden's rounding for pairs of a seed and a block."""
    import torch

    t = torch.einsum("npc,nc->np", segment.pinv[at], w)
    _, power = torch.frexp(t.abs().amax(dim=1))
    exponent = torch.where(t.any(dim=1), power + scale - 1 - (fmt.coef_bits - 2), EXP_MIN).clamp(EXP_MIN, EXP_MAX)
    codes = _times_power(t, (scale - exponent)[:, None]).round().clamp(fmt.coef_min, fmt.coef_max)
    return exponent, codes


def _exact(segment: _Segment, at: "Tensor", w: "Tensor", scale: "Tensor", fmt: BlockFormat) -> tuple[
        "Tensor", "Tensor"]:
    """The best exponents and codes for pairs of a seed (index into the segment) and a block (scaled weights)."""
    import torch

    r, y = segment.r[at], torch.einsum("ncp,nc->np", segment.q[at], w)
    every = range(fmt.coef_min, fmt.coef_max + 1)
    others = torch.tensor(list(itertools.product(every, repeat=fmt.p - 1)), dtype=torch.float64, device=w.device)
    powers = torch.arange(EXP_MIN, EXP_MAX + 1, device=w.device)
    step = _times_power(torch.ones_like(w[:, :1]), powers - scale[:, None])  # (n, 16)
    reached = torch.einsum("npo,go->npg", r[:, :, 1:], others)  # what the other codes make of each coordinate
    left = y[:, :, None, None] - step[:, None, :, None] * reached[:, :, None, :]  # (n, p, 16, g)
    pitch = (step * r[:, :1, 0])[..., None]
    first = torch.where(pitch != 0, left[:, 0] / pitch, 0.0).round().clamp(fmt.coef_min, fmt.coef_max)
    error = (left[:, 0] - pitch * first).square() + left[:, 1:].square().sum(dim=1)
    best = error.flatten(1).argmin(dim=1)
    chosen = first.flatten(1).gather(1, best[:, None])
    return powers[best // len(others)], torch.cat([chosen, others[best % len(others)]], dim=1)


class _Search:
    """The best so far of one batch of blocks."""

    def __init__(self, weights: "Tensor", fmt: BlockFormat, mode: Mode) -> None:
        import torch

        self.fmt, self.mode = fmt, mode
        greatest = weights.abs().amax(dim=1)
        self.scale = torch.where(greatest > 0, torch.frexp(greatest)[1], 0)
        self.w = _times_power(weights, -self.scale[:, None])
        self.norm = self.w.square().sum(dim=1)
        # The zero code is always there to be chosen, but rounding reaches it for zero blocks alone.
        self.error = torch.where((self.norm == 0) | (mode == "exact"), self.norm, torch.inf)
        self.seed = torch.ones_like(self.scale, dtype=torch.int64)
        self.exponent = torch.full_like(self.seed, EXP_MIN)
        self.codes = torch.zeros((len(weights), fmt.p), dtype=torch.float64, device=weights.device)

    def run(self, segment: _Segment) -> None:
        """Improve on the best with the seeds of a segment."""
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
            energy[index[:, None], at[index]] = -1  # tried

    def _try(self, segment: _Segment, block: "Tensor", at: "Tensor", tried: int) -> None:
        """Try pairs of a block and a seed, ``tried`` of each block together."""
        import torch

        search = _exact if self.mode == "exact" else _rounded
        w, scale = self.w[block], self.scale[block]
        exponent, codes = search(segment, at, w, scale, self.fmt)
        restored = torch.einsum("ncp,np->nc", segment.u[at], _times_power(codes, (exponent - scale)[:, None]))
        error = (w - restored).square().sum(dim=1).reshape(-1, tried)
        least, which = error.min(dim=1)
        of = block[::tried]
        better = least < self.error[of]
        winner = (torch.arange(len(of), device=of.device) * tried + which)[better]
        of = of[better]
        self.error[of], self.seed[of] = least[better], at[winner] + segment.first
        self.exponent[of], self.codes[of] = exponent[winner].long(), codes[winner]


def encode_torch(weights: np.ndarray, fmt: BlockFormat, mode: Mode = "exact", *,
                 exponent_bias: int | Literal["auto"] = "auto", device: str = "cuda", batch: int = 512,
                 progress: Callable[[int, int], None] | None = None) -> CompressedMatrix:
    """As :func:`host.encoder.encoder.encode`, on a PyTorch device; equal errors, not always equal seeds.

    Parameters
    ----------
    device : str
        ``cuda``, ``cuda:1``, ``cpu``.
    batch : int
        Blocks at a time; each takes about a megabyte.

    Raises
    ------
    UserError
        As :func:`host.encoder.encoder.encode`, and when PyTorch or the device is not there, or the format has more than
        five coefficients.
    """
    try:
        import torch
    except ImportError:
        raise UserError("this needs PyTorch: pip install 'seedlm-fpga[torch]'") from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"PyTorch finds no CUDA device for {device!r}: use the encoder for processors")
    if weights.ndim != 2 or not np.issubdtype(weights.dtype, np.floating) or not np.isfinite(weights).all():
        raise UserError(f"only matrices of finite floats can be compressed, not {weights.dtype} of shape "
                        f"{weights.shape}")
    if mode == "exact" and fmt.p > min(fmt.c, _GREATEST_P):
        raise UserError(f"format {fmt.name} has too many coefficients for PyTorch: choose p <= c and p <= "
                        f"{_GREATEST_P}, or use the encoder for processors")
    bias = exponent_bias_for(float(np.abs(weights).max(initial=0))) if exponent_bias == "auto" else exponent_bias
    rows, cols = weights.shape
    per_row = -(-cols // fmt.c)
    flat = np.pad(weights.astype(np.float64), ((0, 0), (0, per_row * fmt.c - cols))).reshape(-1, fmt.c)
    flat = np.ldexp(flat, -bias)
    parts = [_Search(torch.from_numpy(flat[start:start + batch]).to(device), fmt, mode)
             for start in range(0, len(flat), batch)]
    firsts = range(1, fmt.seeds + 1, _SEGMENT)
    for n, first in enumerate(firsts):
        segment = _Segment(fmt, first, device)
        for done, part in enumerate(parts):
            part.run(segment)
            if progress:
                progress(n * len(flat) + min((done + 1) * batch, len(flat)), len(firsts) * len(flat))

    def joined(name: str, dtype: type) -> np.ndarray:
        values = torch.cat([getattr(part, name) for part in parts]).cpu().numpy().astype(dtype)
        return values.reshape(rows, per_row, *values.shape[1:])

    return CompressedMatrix(fmt, (rows, cols), joined("seed", np.uint32), joined("exponent", np.int8),
                            joined("codes", np.int8), bias)
