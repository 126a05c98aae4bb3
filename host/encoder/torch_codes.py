"""Codes of given seeds for given blocks in PyTorch: rounded as golden does, the nearest, and all that can be the best.

All functions take n pairs of a seed and a block: ``at`` is the seed as an index into the tables, int64 (n,); ``w`` is
float64 (n, c), the block divided by ``2**scale``; ``scale`` is an int64 tensor (n,).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from golden.spec import EXP_MAX, EXP_MIN, BlockFormat
from host.encoder.encoder import Mode
from host.encoder.torch_tables import Tables

__all__ = ["Codes", "likely", "possible", "rounded", "times_power"]

_ELEMENTS = 1 << 24
"""Float64 numbers of a table of choices at a time, 128 MiB."""


@dataclass(frozen=True)
class Codes:
    """Choices of exponent and codes for pairs of a seed and a block.

    Parameters
    ----------
    pair : int64 tensor, (k,)
        Which pair it is for, ascending.
    exponent : int64 tensor, (k,)
    codes : float64 tensor, (k, p)
    """

    pair: Tensor
    exponent: Tensor
    codes: Tensor


def times_power(values: Tensor, power: Tensor) -> Tensor:
    """Return ``values * 2**power`` in float64, exact on every device, which ``torch.ldexp`` is not.

    ``power`` is -1022 to 1023; it becomes the exponent field of a float64.
    """
    return values * ((power.long() + 1023) << 52).view(torch.float64)


def _usual(t: Tensor, scale: Tensor, lowered: int) -> Tensor:
    """Exponents that scale the greatest of the coefficients ``t``, (n, p), into [1, 2) * 2**lowered."""
    greatest = t.abs().amax(dim=1)
    power = torch.frexp(greatest)[1] + scale - (1 + lowered)
    return torch.where(greatest != 0, power, EXP_MIN).clamp(EXP_MIN, EXP_MAX)


def rounded(tables: Tables, at: Tensor, w: Tensor, scale: Tensor, fmt: BlockFormat, mode: Mode) -> Codes:
    """Round the least-squares coefficients, as golden does in the modes "paper" and "printed"."""
    t = (tables.pinv[at] * w[:, None]).sum(dim=2)
    exponent = _usual(t, scale, 0 if mode == "printed" else fmt.coef_bits - 2)
    codes = times_power(t, (scale - exponent)[:, None]).round_().clamp_(fmt.coef_min, fmt.coef_max)
    return Codes(torch.arange(len(at), device=at.device), exponent, codes)


def likely(tables: Tables, at: Tensor, w: Tensor, scale: Tensor, fmt: BlockFormat) -> Codes:
    """The code that is found by rounding one coefficient after the other, at each of the three likeliest exponents."""
    q, r = tables.basis(at)
    y = (q * w[:, :, None]).sum(dim=1)
    t = torch.zeros_like(y)
    for i in reversed(range(fmt.p)):
        t[:, i] = _quotient(y[:, i] - (r[:, i] * t).sum(dim=1), r[:, i, i])
    exponent = (_usual(t, scale, fmt.coef_bits - 2)[:, None] + tables.around).clamp_(EXP_MIN, EXP_MAX)
    step = times_power(tables.one, exponent - scale[:, None])  # (n, 3)
    codes = torch.zeros(len(at), 3, fmt.p, device=w.device, dtype=torch.float64)
    for i in reversed(range(fmt.p)):
        left = torch.addcmul(y[:, i, None], step, (r[:, None, i] * codes).sum(dim=2), value=-1)
        codes[:, :, i] = _nearest(left, step * r[:, i, i, None], fmt)
    pair = torch.arange(len(at), device=at.device).repeat_interleave(3)
    return Codes(pair, exponent.flatten(), codes.view(-1, fmt.p))


def _quotient(left: Tensor, pitch: Tensor) -> Tensor:
    """``left / pitch``; 0 where a column of U depends on those before it, so that both are 0."""
    return (left / pitch).nan_to_num_(0)


def _nearest(left: Tensor, pitch: Tensor, fmt: BlockFormat) -> Tensor:
    """The code whose multiple of ``pitch`` is nearest to ``left``."""
    return _quotient(left, pitch).round_().clamp_(fmt.coef_min, fmt.coef_max)


def possible(tables: Tables, at: Tensor, w: Tensor, scale: Tensor, fmt: BlockFormat, limit: Tensor) -> Iterator[Codes]:
    """All codes whose squared error can be at most ``limit``, (n,), but for those that differ from one of them in the
    first coefficient alone and are no better; in pieces that fit into memory.

    R is triangular: the last coefficient alone decides what is left of the last coordinate of Q^T w, so coefficients
    are chosen from the last to the first, as long as what is left in the coordinates so far is not too much.
    """
    q, r = tables.basis(at)
    y = (q * w[:, :, None]).sum(dim=1)
    rest = (w - (q * y[:, None]).sum(dim=2)).square().sum(dim=1)
    step = times_power(tables.one, tables.powers - scale[:, None])  # what a code of 1 stands for: (n, 16)
    # What the first i coordinates leave at least, whatever the codes, because these end: (n, 16) each.
    reach = r.abs().sum(dim=2) * -fmt.coef_min
    beyond = [torch.zeros_like(step)]
    for i in range(fmt.p):
        out = torch.addcmul(y[:, i, None].abs(), step, reach[:, i, None], value=-1).clamp_min_(0)
        beyond.append(torch.addcmul(beyond[-1], out, out))
    pair, exponent = (beyond[-1] <= (limit - rest)[:, None]).nonzero(as_tuple=True)

    def choose(i: int, pair: Tensor, exponent: Tensor, codes: Tensor, room: Tensor) -> Iterator[Codes]:
        """Choose the coefficients 0 to i; ``codes`` are (k, p), those of the others, and zeros; ``room`` is what the
        coordinates 0 to i may leave."""
        size = _ELEMENTS // len(tables.every)
        if len(pair) > size:
            for start in range(0, len(pair), size):
                part = slice(start, start + size)
                yield from choose(i, pair[part], exponent[part], codes[part], room[part])
            return
        place, row = pair * step.shape[1] + exponent, r[:, i].index_select(0, pair)
        pitch = step.take(place)
        left = torch.addcmul(y[:, i].index_select(0, pair), pitch, (row * codes).sum(dim=1), value=-1)
        pitch = pitch * row[:, i]
        if not i:
            codes[:, 0] = _nearest(left, pitch, fmt)
            yield Codes(pair, exponent + EXP_MIN, codes)
            return
        out = torch.addcmul(left[:, None], pitch[:, None], tables.every, value=-1)
        remains = torch.addcmul(room[:, None], out, out, value=-1)
        chosen, code = (remains >= beyond[i].take(place)[:, None]).nonzero(as_tuple=True)
        codes = codes.index_select(0, chosen)
        codes[:, i] = tables.every[code]
        yield from choose(i - 1, pair[chosen], exponent[chosen], codes, remains[chosen, code])

    zeros = torch.zeros(len(pair), fmt.p, device=w.device, dtype=torch.float64)
    yield from choose(fmt.p - 1, pair, exponent, zeros, (limit - rest)[pair])
