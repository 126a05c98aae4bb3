"""Shapes of models from their ``config.json``, by ``model_type``: a table of the families whose layers are known.

The names of fields, and their values where a file leaves them out, are those of transformers'
``configuration_<model_type>.py``; the matrices are those of its ``modeling_<model_type>.py``.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from host.json_reader import Json, read_json
from host.measure.roles import LAYER
from host.measure.shapes import KvCache, LayerShape, MatrixShape, ModelShape, matrices_of

__all__ = ["FAMILIES", "layer_kinds", "layer_of", "layer_windows", "shape_of_file", "token_caches", "used_experts"]

_MOST = 1 << 24
"""Greatest dimension that a file may give: a hundred times the largest vocabulary."""
_MOST_LAYERS = _MOST_EXPERTS = 1 << 12
"""Most layers, and most experts of a layer, that a file may give: several times those of the largest model."""
_NAMES = {
    "hidden_size": ("n_embd", "n_embed"), "num_hidden_layers": ("n_layer",), "num_attention_heads": ("n_head",),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size"), "num_key_value_heads": ("num_kv_heads",),
    "num_experts": ("num_local_experts", "n_routed_experts"), "num_experts_per_tok": ("experts_per_token",),
}
"""Other names of fields, in families that have a word of their own."""
_Shape = tuple[str, int, int] | tuple[str, int, int, int, int]


class _Settings:
    """The fields of a language model, ``json``, where those that are missing have the family's ``defaults``."""

    def __init__(self, json: Json, defaults: Mapping[str, int]) -> None:
        self.json, self._defaults = json, defaults

    def found(self, key: str) -> Json | None:
        """Return a field under any of its names; None when there is none or it is null."""
        return next((value for name in (key, *_NAMES.get(key, ())) if (value := self.json.get(name))), None)

    def number(self, key: str, default: int | None = None, least: int = 1, most: int = _MOST) -> int:
        """Return a field, the family's default of it, or ``default``; UserError when there is none of these."""
        if value := self.found(key):
            return value.whole(least, most)
        return self._defaults.get(key) or (self.json[key].whole(least, most) if default is None else default)

    def truth(self, key: str, default: bool = False) -> bool:
        """Return a field that is true or false."""
        value = self.json.get(key)
        return default if value is None else value.truth()

    @property
    def hidden(self) -> int:
        """Width of the residual stream."""
        return self.number("hidden_size")

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        return self.number("num_hidden_layers", most=_MOST_LAYERS)

    @property
    def heads(self) -> int:
        """Heads of queries."""
        return self.number("num_attention_heads")

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values, by default as many as of queries. UserError when these are no multiple of them."""
        count = self.number("num_key_value_heads", self.heads)
        if self.heads % count and (given := self.found("num_key_value_heads")):
            given.refuse(f"must divide the {self.heads} heads of queries, which {count} does not")
        return count

    @property
    def head_dim(self) -> int:
        """Width of a head, by default such that all heads are as wide as the residual stream."""
        return self.number("head_dim", max(self.hidden // self.heads, 1))


def _separate(settings: _Settings, output: str = "o_proj") -> tuple[list[_Shape], int]:
    """Return the matrices of an attention with one each for queries, keys, values and ``output``; and how many values
    of a token it keeps."""
    q, kv, hidden = settings.heads * settings.head_dim, settings.kv_heads * settings.head_dim, settings.hidden
    return [("q_proj", q, hidden), ("k_proj", kv, hidden), ("v_proj", kv, hidden), (output, hidden, q)], 2 * kv


def _fused(settings: _Settings, qkv: str = "query_key_value", output: str = "dense", kv_heads: int | None = None
           ) -> tuple[list[_Shape], int]:
    """Return the same of an attention whose matrix ``qkv`` gives queries, keys and values."""
    q, kv = settings.heads * settings.head_dim, (kv_heads or settings.kv_heads) * settings.head_dim
    return [(qkv, q + 2 * kv, settings.hidden), (output, settings.hidden, q)], 2 * kv


def _falcon(settings: _Settings) -> tuple[list[_Shape], int]:
    """Return the same of Falcon, where ``multi_query`` stands for one head of keys and values unless the architecture
    is the new one."""
    if settings.truth("new_decoder_architecture"):
        return _fused(settings)
    return _fused(settings, kv_heads=1 if settings.truth("multi_query", True) else settings.heads)


def _latent(settings: _Settings) -> tuple[list[_Shape], int]:
    """Return the same of multi-head latent attention, which keeps a latent vector and a rotated key of each token. Its
    ``kv_b_proj`` is read once for a token, as where it is folded into queries and results."""
    heads, hidden, latent = settings.heads, settings.hidden, settings.number("kv_lora_rank")
    plain, rotated, value = map(settings.number, ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    rank = settings.json["q_lora_rank"]
    q = heads * (plain + rotated)
    queries: list[_Shape] = [("q_proj", q, hidden)]
    if rank.value is not None:
        queries = [("q_a_proj", rank.whole(1, _MOST), hidden), ("q_b_proj", q, rank.whole(1, _MOST))]
    return [queries[0], ("kv_a_proj_with_mqa", latent + rotated, hidden), *queries[1:],
            ("kv_b_proj", heads * (plain + value), latent), ("o_proj", hidden, heads * value)], latent + rotated


def _gated(settings: _Settings, layer: int) -> list[_Shape]:
    """Return the matrices of a feed-forward layer with a gate."""
    hidden, ffn = settings.hidden, settings.number("intermediate_size")
    return [("gate_proj", ffn, hidden), ("up_proj", ffn, hidden), ("down_proj", hidden, ffn)]


def _plain(settings: _Settings, layer: int, up: str = "dense_h_to_4h", down: str = "dense_4h_to_h",
           widening: int | None = None) -> list[_Shape]:
    """Return the two matrices of a feed-forward layer, which is ``widening`` times as wide as the residual stream where
    the file does not say it; ``up`` may be a gate and the matrix beside it in one."""
    hidden = settings.hidden
    ffn = settings.number("intermediate_size", widening and widening * hidden)
    return [(up, (2 if up == "gate_up_proj" else 1) * ffn, hidden), (down, hidden, ffn)]


def used_experts(json: Json, held: int) -> int:
    """Return how many experts a token uses, of ``held``.

    Raises
    ------
    UserError
        When the settings do not say it, or it is more than there are.
    """
    found = _Settings(json, {}).found("num_experts_per_tok") or json["num_experts_per_tok"]
    if (used := found.whole(1, _MOST_EXPERTS)) > held:
        found.refuse(f"must be at most {held}, the number of experts, not {used}")
    return used


def _is_sparse(settings: _Settings, layer: int) -> bool:
    """Say whether a layer has experts; some families have dense layers first, or between."""
    dense = settings.json.get("mlp_only_layers")
    return (layer not in (dense.wholes(0) if dense else ())
            and (layer + 1) % settings.number("decoder_sparse_step", 1) == 0
            and layer >= settings.number("first_k_dense_replace", 0, 0)
            and layer % settings.number("moe_layer_freq", 1) == 0)


def _experts(settings: _Settings, layer: int, router: str = "gate", up: tuple[str, ...] = ("gate_proj", "up_proj"),
             down: str = "down_proj", width: str = "moe_intermediate_size", shared: str = "") -> list[_Shape]:
    """Return the router and the matrices of experts, whose width is the field ``width``; of a layer without experts,
    those of :func:`_gated`.

    Parameters
    ----------
    router, up, down : str
        Names of the matrices. One name in ``up`` stands for a gate and the matrix beside it in one.
    shared : str
        The field that gives the width, or the number, of experts that all tokens use; empty when there are none.
    """
    if not _is_sparse(settings, layer):
        return _gated(settings, layer)
    hidden, ffn, held = settings.hidden, settings.number(width), settings.number("num_experts", most=_MOST_EXPERTS)
    used = used_experts(settings.json, held)
    rows = 2 * ffn if len(up) == 1 else ffn
    found: list[_Shape] = [(router, held, hidden)]
    if shared == "shared_expert_intermediate_size":
        found += [("shared_expert_gate", 1, hidden)]
    found += [(f"experts.{name}", rows, hidden, used, held) for name in up]
    found += [(f"experts.{down}", hidden, ffn, used, held)]
    if shared == "shared_expert_intermediate_size":
        name, wide = "shared_expert", settings.number(shared)
    else:
        name, wide = "shared_experts", ffn * settings.number(shared, 0, 0) if shared else 0
    if wide:
        found += [(f"{name}.gate_proj", wide, hidden), (f"{name}.up_proj", wide, hidden),
                  (f"{name}.down_proj", hidden, wide)]
    return found


@dataclass(frozen=True)
class _Family:
    """What the decoder layers of a ``model_type`` are made of.

    Parameters
    ----------
    attention : callable
        Gives the matrices of the attention, and how many values of a token it keeps.
    mlp : callable
        Gives the matrices of the feed-forward part of a layer, whose number is the second argument.
    defaults : mapping
        Values of fields that files leave out.
    full_every : int
        Where there is a sliding window, and no ``layer_types``: the last of so many layers looks back at all tokens. 0
        when none does.
    slides : bool
        Whether there is a sliding window where the file does not say ``use_sliding_window``.
    """

    attention: Callable[[_Settings], tuple[list[_Shape], int]] = _separate
    mlp: Callable[[_Settings, int], list[_Shape]] = _gated
    defaults: Mapping[str, int] = field(default_factory=dict)
    full_every: int = 0
    slides: bool = True


_LLAMA, _QWEN = _Family(), _Family(slides=False)
_GEMMA = {"head_dim": 256}
_GATE_UP = partial(_plain, up="gate_up_proj", down="down_proj")
_GEMMA3 = {"vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
           "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 4096}
FAMILIES: dict[str, _Family] = {
    **dict.fromkeys(("llama", "granite", "olmo", "olmo2", "stablelm", "cohere", "seed_oss"), _LLAMA),
    **dict.fromkeys(("qwen2", "smollm3"), _QWEN),
    "mistral": _Family(defaults={"num_key_value_heads": 8}),
    "qwen3": _Family(defaults={"head_dim": 128}, slides=False),
    "gemma": _Family(defaults=_GEMMA), "gemma2": _Family(defaults=_GEMMA, full_every=2),
    "gemma3_text": _Family(defaults=_GEMMA3, full_every=6),
    "cohere2": _Family(full_every=4), "olmo3": _Family(full_every=4),
    "starcoder2": _Family(mlp=partial(_plain, up="c_fc", down="c_proj")),
    "phi3": _Family(partial(_fused, qkv="qkv_proj", output="o_proj"), _GATE_UP),
    "glm": _Family(mlp=_GATE_UP), "glm4": _Family(mlp=_GATE_UP),
    "mixtral": _Family(mlp=partial(_experts, up=("w1", "w3"), down="w2", width="intermediate_size")),
    "phimoe": _Family(mlp=partial(_experts, up=("w1", "w3"), down="w2", width="intermediate_size")),
    "olmoe": _Family(mlp=partial(_experts, width="intermediate_size")),
    "qwen2_moe": _Family(mlp=partial(_experts, shared="shared_expert_intermediate_size"), slides=False),
    "qwen3_moe": _Family(mlp=_experts, slides=False),
    "deepseek_v2": _Family(_latent, partial(_experts, shared="n_shared_experts")),
    "deepseek_v3": _Family(_latent, partial(_experts, shared="n_shared_experts")),
    "gpt_oss": _Family(mlp=partial(_experts, router="router", up=("gate_up_proj",), width="intermediate_size"),
                       defaults={"head_dim": 64}, full_every=2),
    "gpt2": _Family(partial(_fused, qkv="c_attn", output="attn.c_proj"),
                    partial(_plain, up="c_fc", down="mlp.c_proj", widening=4)),
    "opt": _Family(partial(_separate, output="out_proj"), partial(_plain, up="fc1", down="fc2")),
    "phi": _Family(partial(_separate, output="dense"), partial(_plain, up="fc1", down="fc2")),
    "gpt_neox": _Family(_fused, _plain),
    "bloom": _Family(_fused, partial(_plain, widening=4)),
    "falcon": _Family(_falcon, partial(_plain, widening=4)),
}
"""By ``model_type``."""


def layer_kinds(layers: Mapping[int, tuple[MatrixShape, ...]]) -> tuple[LayerShape, ...]:
    """Return the kinds of layers of a model, the commonest first, from the matrices of every layer by its number."""
    kinds: dict[tuple[MatrixShape, ...], list[int]] = {}
    for number, matrices in sorted(layers.items()):
        kinds.setdefault(matrices, []).append(number)
    found = sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    return tuple(LayerShape(f"layer {numbers[0]}" if place else LAYER, tuple(numbers), matrices)
                 for place, (matrices, numbers) in enumerate(found))


def _stated_kinds(json: Json, layers: int) -> list[str]:
    """Return the kinds of attention that ``layer_types`` gives to so many layers; nothing when it is not there.

    Raises
    ------
    UserError
        When a layer has a kind other than full and sliding attention, or there are not as many as layers.
    """
    given = json.get("layer_types")
    kinds = given.elements() if given else []
    for kind in kinds:
        if kind.text() not in ("full_attention", "sliding_attention"):
            kind.refuse(f"is {kind.text()!r}, and neither full_attention nor sliding_attention")
    if given and len(kinds) != layers:
        given.refuse(f"must have {layers} values, one for each layer, not {len(kinds)}")
    return [kind.text() for kind in kinds]


def layer_windows(json: Json, layers: int) -> list[int | None]:
    """Return for each layer of a model of an unknown family how many tokens it looks back, None for all.

    Raises
    ------
    UserError
        When the settings have a window and do not say which layers have it, or a layer has another kind of attention.
    """
    window, kinds = json.get("sliding_window"), _stated_kinds(json, layers)
    if window is None or window.value in (0, False):
        return [None] * layers
    used = json.get("use_sliding_window")
    if used is not None and not used.truth():
        return [None] * layers
    if not kinds:
        window.refuse("is there, and no layer_types that say which layers have a sliding window")
    return [window.whole(1, _MOST) if kind == "sliding_attention" else None for kind in kinds]


def _windows(settings: _Settings, family: _Family) -> list[int | None]:
    """Return for each layer how many tokens it looks back, None for all.

    Raises
    ------
    UserError
        When a layer has another kind of attention.
    """
    layers = settings.layers
    kinds = _stated_kinds(settings.json, layers)
    if not kinds:
        first = (settings.number("max_window_layers", 0, 0) if settings.truth("use_sliding_window", family.slides)
                 else layers)
        every = settings.number("sliding_window_pattern", family.full_every, 0)
        kinds = ["full_attention" if layer < first or (every and (layer + 1) % every == 0) else "sliding_attention"
                 for layer in range(layers)]
    window = settings.number("sliding_window", 0, 0) or None
    return [window if kind == "sliding_attention" else None for kind in kinds]


def _known(json: Json) -> tuple[_Settings, _Family]:
    """Return the settings of the language model that a file describes, and its family.

    Raises
    ------
    UserError
        When the family is not known.
    """
    json = json.get("text_config") or json
    kind = json["model_type"]
    if kind.text() not in FAMILIES:
        kind.refuse(f"is {kind.text()!r}, a kind of model whose layers are not known here")
    family = FAMILIES[kind.text()]
    settings = _Settings(json, family.defaults)
    if settings.truth("is_encoder_decoder"):
        json["is_encoder_decoder"].refuse("is true, and only decoders are known here")
    return settings, family


def _caches(settings: _Settings, family: _Family) -> tuple[KvCache, ...]:
    """Return what the layers keep of the tokens before, as their settings have it."""
    values = family.attention(settings)[1]
    return tuple(KvCache(count, values, window) for window, count in Counter(_windows(settings, family)).items())


def token_caches(json: Json) -> tuple[KvCache, ...]:
    """Return what the layers of a model keep of the tokens before.

    Raises
    ------
    UserError
        When the family is not known, or the settings are not as they should be.
    """
    return _caches(*_known(json))


def _layer(settings: _Settings, family: _Family, layer: int) -> tuple[MatrixShape, ...]:
    """Return the matrices of a layer."""
    return matrices_of([*family.attention(settings)[0], *family.mlp(settings, layer)])


def layer_of(json: Json, layer: int) -> tuple[MatrixShape, ...]:
    """Return the matrices of a layer of the model that the settings describe.

    Raises
    ------
    UserError
        When the family is not known, or the settings are not as they should be.
    """
    return _layer(*_known(json), layer)


def shape_of_file(path: Path) -> ModelShape:
    """Return the shape of the model that a ``config.json`` describes: of its ``text_config``, where it has one.

    The model is named after the folder, or after a file of another name.

    Raises
    ------
    UserError
        When the file is not what it should be, or the family is not known.
    """
    settings, family = _known(read_json(path, "give a config.json as on Hugging Face, whose model_type is one of "
                                              f"{', '.join(sorted(FAMILIES))}"))
    if settings.number("word_embed_proj_dim", settings.hidden) != settings.hidden:
        settings.json["word_embed_proj_dim"].refuse("differs from hidden_size, so that lm_head is two matrices")
    layers = {layer: _layer(settings, family, layer) for layer in range(settings.layers)}
    return ModelShape(path.parent.name if path.name == "config.json" else path.stem, settings.hidden,
                      layer_kinds(layers), settings.number("vocab_size"), _caches(settings, family), str(path))
