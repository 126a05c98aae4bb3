"""The rotary embedding, plain or scaled for longer texts: the frequencies by which pairs of elements turn.

Each scaling is that of transformers' ``modeling_rope_utils.py``, in float32 as there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from host.json_reader import Json

__all__ = ["Rope", "rope_of", "rotated"]

_BASE = 10000.0
"""The base of the frequencies where a file does not give one."""


@dataclass(frozen=True)
class Rope:
    """A rotary embedding.

    Parameters
    ----------
    frequencies : Tensor
        Radians by which each pair of elements turns from one token to the next: float32, (head_dim / 2,).
    long_frequencies : Tensor
        The same in texts of more than ``original`` tokens.
    original : int
        Tokens of the longest text that the model was first trained with.
    scale : float
        What the sines and cosines are multiplied by.
    """

    frequencies: Tensor
    long_frequencies: Tensor
    original: int
    scale: float = 1.0

    def turns(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return cosine and sine for the tokens ``start`` to ``stop - 1`` of a text: float32, (tokens, head_dim)."""
        frequencies = self.long_frequencies if stop > self.original else self.frequencies
        angles = torch.arange(start, stop, dtype=torch.float32)[:, None] * frequencies
        both = torch.cat((angles, angles), dim=-1)
        return both.cos() * self.scale, both.sin() * self.scale


def rotated(vectors: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return vectors (..., tokens, head_dim) turned by the angles of their tokens. A pair is an element of the first
    half and the one in the same place of the second."""
    first, second = vectors.chunk(2, dim=-1)
    return vectors * cosine + torch.cat((-second, first), dim=-1) * sine


@dataclass(frozen=True)
class _Given:
    """What a file says: the object of the scaling, the powers of the base for each pair, and lengths of texts."""

    json: Json
    base: float
    dims: int
    context: int
    original: int

    @property
    def powers(self) -> Tensor:
        """The reciprocals of the plain frequencies."""
        return self.base ** (torch.arange(0, self.dims, 2, dtype=torch.float32) / self.dims)

    def number(self, name: str, default: float | None = None) -> float:
        """Return a positive number, or its default where there is none; UserError when it is missing or wrong."""
        found = self.json.get(name)
        if found is None and default is not None:
            return default
        stated = found or self.json[name]
        if (value := stated.number()) <= 0:
            stated.refuse(f"must be positive, not {value:g}")
        return value

    def rope(self, frequencies: Tensor, scale: float = 1.0) -> Rope:
        """Return an embedding with the same frequencies for texts of any length."""
        return Rope(frequencies, frequencies, self.original, scale)


def _default(given: _Given) -> Rope:
    return given.rope(1 / given.powers)


def _linear(given: _Given) -> Rope:
    return given.rope(1 / given.powers / given.number("factor"))


def _llama3(given: _Given) -> Rope:
    """Slow turns are divided by the factor, fast ones are kept, and those between are a mixture."""
    plain, factor = 1 / given.powers, given.number("factor")
    low, high = given.number("low_freq_factor"), given.number("high_freq_factor")
    turns = given.original / (2 * math.pi / plain)  # of each pair in a text of the original length
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return given.rope((1 - kept) * plain / factor + kept * plain)


def _yarn(given: _Given) -> Rope:
    factor = given.number("factor", given.context / given.original)

    def growth(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0

    def place(turns: float) -> float:
        """Return which pair turns so many times in a text of the original length."""
        return given.dims * math.log(given.original / (turns * 2 * math.pi)) / (2 * math.log(given.base))

    low, high = place(given.number("beta_fast", 32)), place(given.number("beta_slow", 1))
    truncate = given.json.get("truncate")
    if truncate is None or truncate.truth():
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, given.dims - 1)
    reach = high - low or 0.001
    scaled = ((torch.arange(given.dims // 2, dtype=torch.float32) - low) / reach).clamp(0, 1)
    usual = growth(1)
    if given.json.get("mscale") and given.json.get("mscale_all_dim"):
        usual = growth(given.number("mscale")) / growth(given.number("mscale_all_dim"))
    return given.rope(1 / (factor * given.powers) * scaled + 1 / given.powers * (1 - scaled),
                      given.number("attention_factor", usual))


def _longrope(given: _Given) -> Rope:
    factor = given.number("factor", given.context / given.original)
    usual = math.sqrt(1 + math.log(factor) / math.log(given.original)) if factor > 1 else 1.0

    def frequencies(name: str) -> Tensor:
        factors = [value.number() for value in given.json[name].elements()]
        if len(factors) != given.dims // 2:
            given.json[name].refuse(f"must have {given.dims // 2} numbers, not {len(factors)}")
        return 1 / (torch.tensor(factors, dtype=torch.float32) * given.powers)

    return Rope(frequencies("short_factor"), frequencies("long_factor"), given.original,
                given.number("attention_factor", usual))


_KINDS: Mapping[str, Callable[[_Given], Rope]] = MappingProxyType({
    "default": _default, "linear": _linear, "llama3": _llama3, "yarn": _yarn, "longrope": _longrope})


def rope_of(config: Json, head_dim: int, context: int) -> Rope:
    """Return the rotary embedding that a ``config.json`` describes.

    Parameters
    ----------
    config : Json
        All of the file. The embedding is in ``rope_parameters``, or, in older files, ``rope_theta`` and
        ``rope_scaling``.
    head_dim : int
        Width of a head.
    context : int
        Tokens of the longest text.

    Raises
    ------
    UserError
        When the scaling is unknown, only a part of each head is rotated, or a number is missing or wrong.
    """
    json = config.get("rope_parameters") or config.get("rope_scaling") or config
    named = json.get("rope_type") or json.get("type")
    kind = named.text() if named else "default"
    if named and kind not in _KINDS:
        named.refuse(f"must be one of {', '.join(_KINDS)}, not {kind}")
    if head_dim % 2:
        config.refuse(f"has heads of {head_dim} elements, an odd number")
    for part in (json.get("partial_rotary_factor"), config.get("partial_rotary_factor")):
        if part and part.number() != 1:
            part.refuse(f"must be 1, since whole heads are rotated, not {part.number():g}")
    base = json.get("rope_theta") or config.get("rope_theta")
    original = config.get("original_max_position_embeddings") or json.get("original_max_position_embeddings")
    return _KINDS[kind](_Given(json, base.number() if base else _BASE, head_dim, context,
                               original.whole(1) if original else context))
