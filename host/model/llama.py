"""The forward pass of Llama-like models: Llama 1 to 3.3, Mistral, Qwen2 and Qwen3.

Linear layers are done by a :class:`~host.model.linear.Linear`; all else is here, in float32. Tensors are read from the
checkpoint when they are needed, layer by layer, whatever kind of checkpoint it is. Layers may be called one at a time.
"""

from collections.abc import Sequence
from copy import copy
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import silu

from host.checkpoint.checkpoint import Checkpoint
from host.errors import UserError
from host.model.attention import Cache, KeyValues, attention
from host.model.linear import FloatLinear, Linear
from host.model.rope import rotated
from host.model.settings import EMBEDDING, settings_of

__all__ = ["Llama"]

_QUERIES_KEYS_VALUES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_GATE_UP = ("mlp.gate_proj", "mlp.up_proj")


class Llama:
    """A model.

    Parameters
    ----------
    checkpoint : Checkpoint
    linear : Linear, optional
        What does the linear layers; by default the checkpoint's own weights in float32, which stay in memory.

    Attributes
    ----------
    checkpoint : Checkpoint
    linear : Linear
    settings : Settings

    Raises
    ------
    UserError
        When the model is of a family that is not known, or lacks a setting; later, when it lacks a tensor.
    """

    def __init__(self, checkpoint: Checkpoint, linear: Linear | None = None) -> None:
        self.checkpoint, self.settings = checkpoint, settings_of(checkpoint)
        self.linear: Linear = linear or FloatLinear(checkpoint.matrix)
        self._names = frozenset(checkpoint.names())
        self._vector = cache(lambda name: torch.from_numpy(checkpoint.read(name)))

    def with_linear(self, linear: Linear) -> "Llama":
        """Return the same model with other linear layers. The two share what they have read."""
        other = copy(self)
        other.linear = linear
        return other

    def new_cache(self) -> Cache:
        """Return an empty cache of keys and values."""
        return Cache(self.settings.layers)

    @staticmethod
    def matrices(number: int) -> tuple[tuple[str, ...], ...]:
        """Return the names of a layer's matrices in the order in which a token uses them. Those that are multiplied
        with the same vector are together."""
        groups = (_QUERIES_KEYS_VALUES, ("self_attn.o_proj",), _GATE_UP, ("mlp.down_proj",))
        return tuple(tuple(f"model.layers.{number}.{part}.weight" for part in group) for group in groups)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the vectors of tokens: float32, (batch, tokens, hidden), for int64, (batch, tokens)."""
        return self._vector(EMBEDDING)[tokens]

    def layer(self, number: int, hidden: Tensor, kept: KeyValues | None = None) -> Tensor:
        """Return what a decoder layer makes of the hidden states: float32, (batch, tokens, hidden), as they are.

        Parameters
        ----------
        kept : KeyValues, optional
            Keys and values of earlier tokens, which are extended by those of these tokens.
        """
        prefix = f"model.layers.{number}"
        attended = self._attention(number, self._norm(f"{prefix}.input_layernorm.weight", hidden),
                                   KeyValues() if kept is None else kept)
        hidden = hidden + attended
        _, _, gate_up, down = self.matrices(number)
        gate, up = self._products(gate_up, self._norm(f"{prefix}.post_attention_layernorm.weight", hidden))
        return hidden + self._products(down, silu(gate) * up)[0]

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits that follow from the last layer's hidden states: float32, (batch, tokens, vocabulary)."""
        return self._products((self.settings.head,), self._norm("model.norm.weight", hidden))[0]

    def __call__(self, tokens: Tensor, kept: Cache | None = None, last: bool = False) -> Tensor:
        """Return the logits of the tokens that follow each token: float32, (batch, tokens, vocabulary).

        Parameters
        ----------
        tokens : Tensor
            int64, (batch, tokens).
        kept : Cache, optional
            Keys and values of the tokens before, which are extended by those of these tokens.
        last : bool
            Only for the last token of each text: (batch, 1, vocabulary).

        Raises
        ------
        UserError
            When the text is longer than the model's context.
        """
        kept = self.new_cache() if kept is None else kept
        self.require_context(kept.length + tokens.shape[1])
        with torch.inference_mode():
            hidden = self.embed(tokens)
            for number, layer in enumerate(kept.layers):
                hidden = self.layer(number, hidden, layer)
            return self.logits(hidden[:, -1:] if last else hidden)

    def require_context(self, tokens: int) -> None:
        """Refuse a text of more tokens than the model can have. UserError."""
        if tokens > self.settings.context:
            raise UserError(f"a text of {tokens} tokens is longer than the context of {self.checkpoint.path}, "
                            f"{self.settings.context} tokens: give a shorter prompt, or ask for fewer tokens")

    def _norm(self, name: str, x: Tensor) -> Tensor:
        """Return vectors divided by their root mean square, times the weights of a norm."""
        return self._vector(name) * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.settings.epsilon))

    def _products(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        """Return the products of matrices with vectors (batch, tokens, columns), with biases where there are any."""
        found = self.linear(names, x.reshape(-1, x.shape[-1]))
        biases = (f"{name.removesuffix('weight')}bias" for name in names)
        return [(y + self._vector(bias) if bias in self._names else y).reshape(*x.shape[:-1], -1)
                for y, bias in zip(found, biases, strict=True)]

    def _attention(self, number: int, x: Tensor, kept: KeyValues) -> Tensor:
        """Return the result of a layer's attention for normalised hidden states."""
        settings, start = self.settings, kept.length
        first, output, *_ = self.matrices(number)
        queries, keys, values = (
            product.unflatten(-1, (-1, settings.head_dim)).transpose(1, 2) for product in self._products(first, x))
        if settings.head_norms:
            queries = self._norm(f"model.layers.{number}.self_attn.q_norm.weight", queries)
            keys = self._norm(f"model.layers.{number}.self_attn.k_norm.weight", keys)
        turns = settings.rope.turns(start, start + x.shape[1])
        keys, values = kept.extend(rotated(keys, *turns), values)
        mixed = attention(rotated(queries, *turns), keys, values, settings.windows[number])
        return self._products(output, mixed.transpose(1, 2).flatten(-2))[0]
