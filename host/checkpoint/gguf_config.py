"""The settings of a GGUF file as Hugging Face's ``config.json``.

Every key of the architecture has to be carried over, or to say what Hugging Face's model does anyway. Other keys
are refused by name, because a model that leaves a setting out is another model.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from host.checkpoint.gguf_architectures import ARCHITECTURES, Architecture, Setting, architecture_of
from host.checkpoint.gguf_header import CURE
from host.checkpoint.gguf_rope import ROPE_KEYS, Rope, RopeError, rope_settings
from host.errors import UserError

__all__ = ["CONVERT", "KEYS", "config_of"]

CONVERT = "compress the Hugging Face checkpoint that the file was made from"

_COMMON = {
    "embedding_length": Setting("hidden_size"), "feed_forward_length": Setting("intermediate_size"),
    "block_count": Setting("num_hidden_layers"), "attention.head_count": Setting("num_attention_heads"),
    "context_length": Setting("max_position_embeddings"),
    "attention.layer_norm_rms_epsilon": Setting("rms_norm_eps", whole=False),
}
_SEEN = ("attention.head_count_kv", "attention.key_length", "attention.value_length", *ROPE_KEYS)
"""Other keys whose values are looked at."""
_IDLE = ("vocab_size", "tensor_data_layout", "pooling_type")
"""Keys without a counterpart: the first follows from the embedding, the second says that q and k are permuted, the
third what a program makes of the hidden states."""
_ASSUMED = {"attention.causal": (True,), "expert_count": (0,), "expert_used_count": (0,),
            "use_parallel_residual": (False,), "attention.sliding_window": (0,)}
_TOKENS = {"bos_token_id": "tokenizer.ggml.bos_token_id", "eos_token_id": "tokenizer.ggml.eos_token_id",
           "pad_token_id": "tokenizer.ggml.padding_token_id"}
_KNOWN = {*_COMMON, *_SEEN, *_ASSUMED, *(key for each in (*ARCHITECTURES.values(), architecture_of(
    "llama", {"llama.expert_count": 1})) if each for key in (*each.settings, *each.assumed))}
KEYS = ("general.architecture", "general.type", "split.count", "split.no", "split.tensors.count", *_TOKENS.values(),
        *(f"ARCHITECTURE.{key}" for key in sorted(_KNOWN)))
"""Keys whose values :func:`config_of` needs, as :func:`host.checkpoint.gguf_header.read_header` takes them."""
_TYPES: dict[str, tuple[type, ...]] = {
    "rope.scaling.type": (str,), "attention.causal": (bool,), "use_parallel_residual": (bool,),
    "expert_weights_norm": (bool,), "rope.scaling.finetuned": (bool,), "attention.head_count_kv": (int,),
    "attention.key_length": (int,), "attention.value_length": (int,), "rope.dimension_count": (int,),
    "rope.scaling.original_context_length": (int,), "expert_count": (int,), "expert_used_count": (int,)}
"""Types of values, other than numbers of any kind, of keys that no :class:`Setting` describes."""
_CALLED = {str: "a text", bool: "true or false", int: "a whole number", float: "a finite number"}


class _Settings:
    """The settings of one file; errors name it."""

    def __init__(self, path: Path, name: str, values: Mapping[str, Any], architecture: Architecture) -> None:
        self.path, self.name, self.all, self.architecture = path, name, values, architecture
        self.own = {key: values[f"{name}.{key}"] for key in sorted(_KNOWN) if f"{name}.{key}" in values}
        types = _TYPES | {key: (int,) if setting.whole else (int, float)
                          for key, setting in {**_COMMON, **architecture.settings}.items()}
        for key, value in self.own.items():
            self.own[key] = self.checked(f"{name}.{key}", value, types.get(key, (int, float)))
        for key in _TOKENS.values():
            self.checked(key, values.get(key, 0), (int,))

    def checked(self, key: str, value: Any, types: tuple[type, ...]) -> Any:
        """Return a value, or the one value of a list for each layer. UserError when it is not of its type."""
        for each in value if isinstance(value, list) else [value]:
            if type(each) not in types or (type(each) is float and not math.isfinite(each)):
                raise UserError(f"{key} in {self.path} must be {_CALLED[types[-1]]}, not {each!r}: {CURE}")
        if isinstance(value, list):
            if len(set(value)) != 1:
                raise UserError(f"{key} in {self.path} differs from layer to layer, which Hugging Face's "
                                f"{self.architecture.model_type} cannot: {CONVERT}")
            value = value[0]
        # Numbers are stored as float32, and the shortest decimal number is the one that was meant.
        return float(str(np.float32(value))) if type(value) is float and np.float32(value) == value else value

    def get(self, key: str, setting: Setting) -> Any:
        """Return a setting. UserError when the file does not say it and there is no default."""
        if key in self.own:
            return self.own[key]
        if setting.default is None:
            raise UserError(f"{self.path} does not say {self.name}.{key}, which a {self.architecture.model_type} "
                            f"needs: {CONVERT}")
        return setting.default

    def refuse_others(self, keys: Iterable[str]) -> None:
        """Refuse keys that are not carried over, and values that mean another model."""
        carried = {*_COMMON, *_SEEN, *self.architecture.settings}
        assumed = {key: values for key, values in {**_ASSUMED, **self.architecture.assumed}.items()
                   if key not in self.architecture.settings}
        for key in keys:
            own = key.removeprefix(f"{self.name}.")
            if own == key or own in _IDLE or (own in carried and own not in assumed):
                continue
            if own not in assumed:
                raise UserError(f"{self.path} has a setting {key}, which cannot be carried over to Hugging Face's "
                                f"{self.architecture.model_type}: {CONVERT}")
            if self.own[own] not in assumed[own]:
                raise UserError(f"{self.path} has the setting {key} = {self.own[own]}, which Hugging Face's "
                                f"{self.architecture.model_type} does not have: {CONVERT}")


def _gemma_attention(config: dict[str, Any], layers_of_27b: int) -> dict[str, Any]:
    """Return the scale of attention, which no key states: llama.cpp knows the models of 27 billion weights by their
    layers (gemma2.cpp, gemma3.cpp)."""
    usual = config["num_hidden_layers"] != layers_of_27b
    return {"query_pre_attn_scalar": config["head_dim"] if usual else
            config["hidden_size"] // config["num_attention_heads"]}


def _gemma2(config: dict[str, Any]) -> dict[str, Any]:
    return _gemma_attention(config, 46)


def _gemma3(config: dict[str, Any]) -> dict[str, Any]:
    every = config.pop("sliding_window_pattern")
    window = config.pop("sliding_window") or None
    kinds = ["sliding_attention" if window and every and (layer + 1) % every else "full_attention"
             for layer in range(config["num_hidden_layers"])]
    return {"sliding_window": window, "layer_types": kinds, "attn_logit_softcapping": None, "final_logit_softcapping":
            config["final_logit_softcapping"] or None, **_gemma_attention(config, 62)}


def _phi3(config: dict[str, Any]) -> dict[str, Any]:
    return {"sliding_window": config["sliding_window"] or None,
            "original_max_position_embeddings": config.get("original_max_position_embeddings",
                                                           config["max_position_embeddings"])}


_REFINED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "gemma2": _gemma2, "gemma3_text": _gemma3, "phi3": _phi3}
"""By model type: what else follows from the settings so far."""


def _heads(settings: _Settings, config: dict[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return what is known of the heads. UserError when the projections have not the sizes that it means."""
    count, hidden = config["num_attention_heads"], config["hidden_size"]
    groups = settings.own.get("attention.head_count_kv", count)
    size = settings.own.get("attention.key_length", hidden // count if count > 0 else 0)
    if min(count, groups, size) <= 0 or count % groups:
        raise UserError(f"{settings.path} says that there are {count} heads of {size} and {groups} for keys: {CURE}")
    if settings.own.get("attention.value_length", size) != size:
        raise UserError(f"{settings.path} has {settings.name}.attention.value_length "
                        f"{settings.own['attention.value_length']} where keys have {size}, which Hugging Face's "
                        f"{settings.architecture.model_type} cannot: {CONVERT}")
    rows = {"q_proj": count * size, "k_proj": groups * size, "qkv_proj": (count + 2 * groups) * size}
    for part, number in rows.items():
        shape = shapes.get(f"model.layers.0.self_attn.{part}.weight")
        if shape is not None and shape != (number, hidden):
            raise UserError(f"model.layers.0.self_attn.{part}.weight in {settings.path} has the shape {shape}, where "
                            f"{count} heads and {groups} for keys, of {size}, make {(number, hidden)}: {CURE}")
    return {"num_key_value_heads": groups, "head_dim": size}


def config_of(path: Path, name: str, values: Mapping[str, Any], keys: Iterable[str],
              shapes: Mapping[str, tuple[int, ...]], factors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Make the settings of a Hugging Face ``config.json``.

    Parameters
    ----------
    path : Path
        The file, for errors.
    name : str
        Its ``general.architecture``, one of the table.
    values : mapping
        The values of :data:`KEYS` that it has.
    keys : iterable of str
        All keys that it has.
    shapes : mapping
        The shapes of its tensors by Hugging Face's names.
    factors : mapping
        Its tensors of :data:`host.checkpoint.gguf_rope.FACTORS`.

    Raises
    ------
    UserError
        When a setting is missing, has not the type that it must have, or cannot be carried over.
    """
    architecture = architecture_of(name, values)
    assert architecture is not None
    settings = _Settings(path, name, values, architecture)
    settings.refuse_others(keys)
    config: dict[str, Any] = {"architectures": [architecture.class_name], "model_type": architecture.model_type}
    config |= {setting.name: settings.get(key, setting)
               for key, setting in {**_COMMON, **architecture.settings}.items()}
    config |= _heads(settings, config, shapes) | dict(architecture.fixed)
    try:
        config |= rope_settings(Rope(settings.own, factors, config["head_dim"], config["max_position_embeddings"]),
                                architecture.rope)
    except RopeError as error:
        raise UserError(f"{path} {error}: {CONVERT}") from None
    if architecture.model_type in _REFINED:
        config |= _REFINED[architecture.model_type](config)
    vocabulary = shapes.get("model.embed_tokens.weight", (0,))[0]
    for key, stated in _TOKENS.items():
        # A null keeps transformers from taking the default of its class.
        config[key] = values.get(stated)
        if config[key] is not None and not 0 <= config[key] < vocabulary:
            raise UserError(f"{path} has {stated} = {config[key]}, where the vocabulary has {vocabulary} tokens: "
                            f"{CURE}")
    return config | {"vocab_size": vocabulary, "tie_word_embeddings": "lm_head.weight" not in shapes}
