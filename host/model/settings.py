"""What a forward pass has to know of a Llama-like model, from the settings of its checkpoint (``config.json``).

Names of fields, and their values where a file leaves them out, are those of transformers' ``configuration_llama.py``,
``configuration_mistral.py``, ``configuration_qwen2.py`` and ``configuration_qwen3.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from host.checkpoint.checkpoint import Checkpoint
from host.errors import UserError
from host.json_reader import Json
from host.model.rope import Rope, rope_of

__all__ = ["EMBEDDING", "HEAD", "Settings", "settings_of"]

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
"""Names of the tensors that turn tokens into vectors, and vectors into logits."""
_MOST = 1 << 24
"""Greatest dimension that a file may give."""
_CURE = "give a model of the family llama, mistral, qwen2 or qwen3"


@dataclass(frozen=True)
class Settings:
    """The settings of a model.

    Parameters
    ----------
    hidden, layers, heads, kv_heads, head_dim : int
        Width of the residual stream, number of decoder layers, heads of queries, heads of keys and of values, width of
        a head.
    context : int
        Tokens of the longest text.
    epsilon : float
        What RMSNorm adds to the mean square.
    head_norms : bool
        Whether each head's queries and keys are normalised, as in Qwen3.
    windows : tuple of int or None
        For each layer, how many tokens back its attention reaches, its own included; None for all.
    head : str
        Name of the tensor that gives the logits. It is the embedding's where the two are tied.
    rope : Rope
        The rotary embedding.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    epsilon: float
    head_norms: bool
    windows: tuple[int | None, ...]
    head: str
    rope: Rope


@dataclass(frozen=True)
class _Family:
    """What a family's files leave out: ``defaults`` by field, and whether it normalises each head."""

    defaults: Mapping[str, Any]
    head_norms: bool = False


_QWEN: Mapping[str, Any] = MappingProxyType({
    "num_key_value_heads": 32, "max_position_embeddings": 32768, "use_sliding_window": False, "sliding_window": 4096,
    "max_window_layers": 28})
_FAMILIES: Mapping[str, _Family] = MappingProxyType({
    "llama": _Family({"max_position_embeddings": 2048, "use_sliding_window": False}),
    "mistral": _Family({"max_position_embeddings": 1 << 17, "num_key_value_heads": 8, "use_sliding_window": True,
                        "sliding_window": 4096, "max_window_layers": 0}),
    "qwen2": _Family(_QWEN),
    "qwen3": _Family({**_QWEN, "head_dim": 128}, head_norms=True),
})
_COMMON: Mapping[str, Any] = MappingProxyType({"rms_norm_eps": 1e-6, "tie_word_embeddings": False,
                                               "hidden_act": "silu"})


def _windows(json: Json, layers: int) -> tuple[int | None, ...]:
    """Return the window of each layer's attention; UserError when the file names another kind of attention."""
    window = json.get("sliding_window")
    if not json["use_sliding_window"].truth() or window is None:
        return (None,) * layers
    if given := json.get("layer_types"):
        kinds = [kind.text() for kind in given.elements()]
        if len(kinds) != layers or not set(kinds) <= {"full_attention", "sliding_attention"}:
            given.refuse(f"must give full_attention or sliding_attention for each of the {layers} layers")
        sliding = [kind == "sliding_attention" for kind in kinds]
    else:
        first = json["max_window_layers"].whole(0, _MOST)
        sliding = [number >= first for number in range(layers)]
    size = window.whole(1, _MOST)
    return tuple(size if slides else None for slides in sliding)


def settings_of(checkpoint: Checkpoint) -> Settings:
    """Return the settings of a model.

    Raises
    ------
    UserError
        When the checkpoint comes without settings, is of another family, or has a setting that is missing, of a wrong
        type, or of no such model.
    """
    given, source = checkpoint.config(), str(checkpoint.path)
    kind = given.get("model_type")
    if not isinstance(kind, str):
        raise UserError(f"{source} comes without a config.json that gives its model_type: {_CURE}")
    if kind not in _FAMILIES:
        raise UserError(f"{source} is of the family {kind}, which the forward pass does not know: {_CURE}")
    family = _FAMILIES[kind]
    stated = {key: value for key, value in given.items() if value is not None or key == "sliding_window"}
    json = Json({**_COMMON, **family.defaults, **stated}, f"the config.json of {source}", "download the model again")
    if (activation := json["hidden_act"]).text() != "silu":
        activation.refuse(f"must be silu, not {activation.text()}")
    hidden, heads = json["hidden_size"].whole(1, _MOST), json["num_attention_heads"].whole(1, _MOST)
    layers = json["num_hidden_layers"].whole(1, _MOST)
    kv_heads = (json.get("num_key_value_heads") or json["num_attention_heads"]).whole(1, heads)
    width = found.whole(2, _MOST) if (found := json.get("head_dim")) else hidden // heads
    if heads % kv_heads:
        json["num_key_value_heads"].refuse(f"must divide the {heads} heads of queries, which {kv_heads} does not")
    context = json["max_position_embeddings"].whole(1, _MOST)
    return Settings(
        hidden, layers, heads, kv_heads, width, context, json["rms_norm_eps"].number(), family.head_norms,
        _windows(json, layers), EMBEDDING if json["tie_word_embeddings"].truth() else HEAD,
        rope_of(json, width, context))
