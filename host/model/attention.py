"""Attention with grouped queries, and the keys and values that it keeps of earlier tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["Cache", "KeyValues", "attention"]


@dataclass
class KeyValues:
    """Keys and values of the tokens that a layer has seen: (batch, kv_heads, tokens, head_dim), or None at first."""

    keys: Tensor | None = None
    values: Tensor | None = None

    @property
    def length(self) -> int:
        """How many tokens there are."""
        return 0 if self.keys is None else self.keys.shape[-2]

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep keys and values of further tokens, and return those of all tokens."""
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat((self.keys, keys), dim=-2), torch.cat((self.values, values), dim=-2)
        self.keys, self.values = keys, values
        return keys, values


class Cache:
    """Keys and values of all layers of a model. What was kept is never changed, so a copy costs nothing."""

    def __init__(self, layers: int) -> None:
        self.layers = [KeyValues() for _ in range(layers)]

    @property
    def length(self) -> int:
        """How many tokens every layer has seen."""
        return self.layers[-1].length

    def copy(self) -> "Cache":
        """Return a cache with the same keys and values, which goes its own way from here on."""
        other = Cache(0)
        other.layers = [KeyValues(each.keys, each.values) for each in self.layers]
        return other


def attention(queries: Tensor, keys: Tensor, values: Tensor, window: int | None) -> Tensor:
    """Return what each query makes of the values: (batch, heads, tokens, head_dim).

    Parameters
    ----------
    queries : Tensor
        Those of the last tokens: (batch, heads, tokens, head_dim).
    keys, values : Tensor
        Those of all tokens: (batch, kv_heads, all tokens, head_dim), of which each head serves ``heads / kv_heads``
        heads of queries.
    window : int or None
        How many tokens back a query reaches, its own included; None for all.
    """
    count, seen = queries.shape[-2], keys.shape[-2]
    distance = torch.arange(seen - count, seen)[:, None] - torch.arange(seen)
    visible = distance >= 0
    if window is not None:
        visible &= distance < window
    return scaled_dot_product_attention(queries, keys, values, attn_mask=visible, enable_gqa=True)
