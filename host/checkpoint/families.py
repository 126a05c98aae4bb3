"""Families of models: which tensors of a checkpoint are compressed by default, and which are stored transposed.

A family is known by the ``model_type`` of ``config.json``, which of a multimodal model is that of its ``text_config``.
It names the matrices of the decoder's linear layers by what follows the layer's number in a tensor's name. All else is
left as it is: embeddings, output matrices, norms, routers of experts, and the towers for images and sound, whose layers
have other names before the number.

The names are those that transformers 5.24 writes (src/transformers/models, and src/transformers/conversion_mapping.py,
by which it splits merged experts again), and those of the checkpoints that the models' makers publish.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from host.errors import UserError

__all__ = ["FAMILIES", "Family", "family_of", "guessed", "model_type", "refuse_missing_layers",
           "refuse_partial"]

_LAYER = re.compile(r"(?:(?:model|language_model|text_model|transformer|decoder|gpt_neox)\.)*(?:layers|h)"
                    r"\.(?P<number>[0-9]{1,6})\.(?P<part>.+)")
"""A tensor of a decoder's layer. What stands before the number is as above and nothing else, so that the layers of
towers are none of the decoder's."""


@dataclass(frozen=True)
class Family:
    """What is known of the names of a family.

    Members
    -------
    matrices : tuple of str
        Glob patterns of what follows the layer's number in the names of tensors that are compressed.
    turned : tuple of str
        The patterns among them whose tensors hold (..., inputs, outputs).
    """

    matrices: tuple[str, ...]
    turned: tuple[str, ...] = ()

    def compressed(self, name: str) -> bool:
        """Whether a tensor of this name is compressed by default."""
        return _part_matches(name, self.matrices)

    def transposed(self, name: str) -> bool:
        """Whether a tensor of this name holds (..., inputs, outputs)."""
        return _part_matches(name, self.turned)


def _part_matches(name: str, globs: tuple[str, ...]) -> bool:
    """Whether a tensor is of a decoder's layer and what follows the layer's number matches one of the patterns."""
    layer = _LAYER.fullmatch(name)
    return layer is not None and any(fnmatchcase(layer["part"], glob) for glob in globs)


_ATTENTION = ("self_attn.[qkvo]_proj.weight",)
_MLP = ("mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight")
_FUSED_MLP = ("mlp.gate_up_proj.weight", "mlp.down_proj.weight")
_EXPERTS = ("mlp.experts.*.gate_proj.weight", "mlp.experts.*.up_proj.weight", "mlp.experts.*.down_proj.weight",
            "mlp.shared_*.gate_proj.weight", "mlp.shared_*.up_proj.weight", "mlp.shared_*.down_proj.weight")
_STACKED = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")
_LLAMA4_STACKED = ("feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj")
_LATENT = ("self_attn.q_proj.weight", "self_attn.q_[ab]_proj.weight", "self_attn.kv_a_proj_with_mqa.weight",
           "self_attn.kv_b_proj.weight", "self_attn.o_proj.weight")
_4H = ("mlp.dense_h_to_4h.weight", "mlp.dense_4h_to_h.weight")
_GPT2 = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")

_GROUPS: dict[tuple[str, ...], Family] = {
    ("llama", "mistral", "ministral", "ministral3", "qwen2", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl",
     "qwen2_5_vl_text", "qwen3", "qwen3_vl_text", "gemma", "gemma2", "gemma3_text", "granite", "smollm3", "olmo",
     "olmo2", "olmo3", "cohere", "cohere2", "stablelm", "nemotron", "exaone4", "ernie4_5", "hunyuan_v1_dense",
     "seed_oss", "arcee", "helium", "apertus"): Family((*_ATTENTION, *_MLP)),
    ("phi3",): Family(("self_attn.qkv_proj.weight", "self_attn.o_proj.weight", *_FUSED_MLP)),
    ("glm", "glm4"): Family((*_ATTENTION, *_FUSED_MLP)),
    ("qwen2_moe", "qwen3_moe", "olmoe", "flex_olmo", "glm4_moe", "ernie4_5_moe", "hunyuan_v1_moe", "dots1",
     "exaone_moe"): Family((*_ATTENTION, *_MLP, *_EXPERTS, *_STACKED)),
    ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"): Family(
        (*_ATTENTION, *_MLP, *_EXPERTS, *_STACKED, "linear_attn.in_proj_qkv*.weight", "linear_attn.in_proj_z.weight",
         "linear_attn.out_proj.weight")),
    ("mixtral", "phimoe", "minimax_m2"): Family(
        (*_ATTENTION, "block_sparse_moe.experts.*.w[123].weight", *_STACKED)),
    ("gemma4_text",): Family((*_ATTENTION, *_MLP, "experts.gate_up_proj", "experts.down_proj",
                              "per_layer_input_gate.weight", "per_layer_projection.weight")),
    ("granitemoe", "granitemoeshared"): Family(
        (*_ATTENTION, "block_sparse_moe.input_linear.weight", "block_sparse_moe.output_linear.weight",
         "shared_mlp.input_linear.weight", "shared_mlp.output_linear.weight")),
    ("deepseek_v2", "deepseek_v3", "glm4_moe_lite"): Family((*_LATENT, *_MLP, *_EXPERTS, *_STACKED)),
    ("gpt_oss",): Family((*_ATTENTION, *_STACKED), _STACKED),
    ("llama4_text",): Family((*_ATTENTION, "feed_forward.*_proj.weight", *_LLAMA4_STACKED), _LLAMA4_STACKED),
    ("phi",): Family(("self_attn.[qkv]_proj.weight", "self_attn.dense.weight", "mlp.fc[12].weight")),
    ("opt",): Family(("self_attn.[qkv]_proj.weight", "self_attn.out_proj.weight", "fc[12].weight")),
    ("gpt_neox",): Family(("attention.query_key_value.weight", "attention.dense.weight", *_4H)),
    ("persimmon",): Family(("self_attn.query_key_value.weight", "self_attn.dense.weight", *_4H)),
    ("falcon", "bloom"): Family(("self_attention.query_key_value.weight", "self_attention.dense.weight", *_4H)),
    ("gpt2",): Family(_GPT2, _GPT2),
    ("gpt_bigcode",): Family(_GPT2),
    ("gptj", "codegen"): Family(("attn.[qkv]_proj.weight", "attn.qkv_proj.weight", "attn.out_proj.weight",
                                 "mlp.fc_in.weight", "mlp.fc_out.weight")),
    ("gpt_neo",): Family(("attn.attention.[qkv]_proj.weight", "attn.attention.out_proj.weight", "mlp.c_fc.weight",
                          "mlp.c_proj.weight")),
    ("starcoder2",): Family((*_ATTENTION, "mlp.c_fc.weight", "mlp.c_proj.weight")),
    ("lfm2",): Family(("self_attn.[qkv]_proj.weight", "self_attn.out_proj.weight", "feed_forward.w[123].weight",
                       "conv.in_proj.weight", "conv.out_proj.weight")),
}
FAMILIES: dict[str, Family] = {name: family for names, family in _GROUPS.items() for name in names}
"""Families by ``model_type``."""


def model_type(config: dict[str, Any]) -> str | None:
    """Return the ``model_type`` of the decoder that a ``config.json`` describes, or None when there is none."""
    text = config.get("text_config")
    found = [part["model_type"] for part in (text, config) if isinstance(part, dict) and part.get("model_type")]
    return str(found[0]) if found else None


def family_of(config: dict[str, Any]) -> Family | None:
    """Return the family of a model, or None when it is not known.

    Parameters
    ----------
    config : dict
        The content of ``config.json``.
    """
    return FAMILIES.get(model_type(config) or "")


_KNOWN_ENDS = re.compile(r"(?:.*\.)?(?:[qkvo]|gate|up|down)_proj\.weight")
"""Names of matrices that mean a decoder's linear layer in every family."""
_NUMBER = re.compile(r"(?<=\.)[0-9]+(?=\.)")
_NUMBERED = re.compile(r"(?:.*\.)?[0-9]+\..*")
_TOWER = re.compile(r"(?:.*[._])?(?:vision|visual|image|audio|speech|encoder|vit)(?:[._].*)?")
_ROUTER = re.compile(r"(?:.*[._])?(?:router|gate|norm)(?:\.[a-z_]+)?")
_ENOUGH = 0.95  # of the bytes of matrices in numbered layers
_LEAST_COLUMNS = 8  # of a matrix that is worth its name in a message: kernels of convolutions have fewer
_NAMED = 24  # patterns in a message


def _patterns(names: Iterable[str], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the options that include tensors, those of all layers alike by one pattern, the largest first. Towers,
    routers and convolutions are left out of them, unless there is nothing else."""
    largest = sorted(names, key=lambda name: -math.prod(shapes[name]))
    linear = [name for name in largest if len(shapes[name]) < 4 and shapes[name][-1] >= _LEAST_COLUMNS
              and not _ROUTER.fullmatch(name)]
    chosen = [name for name in linear if not _TOWER.fullmatch(name)] or linear or largest
    globs = list(dict.fromkeys(_NUMBER.sub("*", name) for name in chosen))
    return " ".join(f"--include '{glob}'" for glob in globs[:_NAMED])


_LAYER_COUNTS = ("num_hidden_layers", "n_layer", "num_layers")
"""Fields that give the number of the decoder's layers."""


def refuse_missing_layers(names: Iterable[str], config: Mapping[str, Any], model: str) -> None:
    """Refuse a model of a known family that lacks layers, as one of two shards does without the other.

    Parameters
    ----------
    names : iterable of str
        The names of all tensors.
    config : mapping
        The content of ``config.json``.
    model : str
        What the model is called in a message.

    Raises
    ------
    UserError
        When no tensor is of a layer that the settings promise.
    """
    text = config.get("text_config")
    settings = text if isinstance(text, dict) else config
    key = next((key for key in _LAYER_COUNTS if type(settings.get(key)) is int), None)
    found = {int(layer["number"]) for name in names if (layer := _LAYER.fullmatch(name))}
    if key is None or not found:
        return
    # With more layers than there are tensors, one is missing anyway.
    missing = next((layer for layer in range(min(settings[key], max(found) + 2)) if layer not in found), None)
    if missing is not None:
        raise UserError(f"{model} has no tensor of layer {missing}, and {key} of its config.json is {settings[key]}: "
                        "download the model again")


def refuse_partial(shapes: Mapping[str, tuple[int, ...]], found: Iterable[str], model: str) -> None:
    """Refuse a model of a known family whose decoder layers hold other matrices than the family's.

    Parameters
    ----------
    shapes : mapping
        The shapes of all matrices, by name.
    found : iterable of str
        The names of those that the family's patterns match.
    model : str
        What the model is called in a message.

    Raises
    ------
    UserError
        When the family's matrices are less than 95 % of those of the decoder's layers.
    """
    found = set(found)
    others = [name for name in shapes if name not in found and _LAYER.fullmatch(name)]
    compressed, left = (sum(math.prod(shapes[name]) for name in names) for names in (found, others))
    if compressed < _ENOUGH * (compressed + left):
        largest = max(others, key=lambda name: math.prod(shapes[name]))
        ours = "--include default and " if found else ""
        raise UserError(f"the layers of {model} hold matrices such as {largest}, which its model_type does not have: "
                        f"say with --include which tensors to compress, for example with {ours}"
                        f"{_patterns(others, shapes)}")


def guessed(shapes: dict[str, tuple[int, ...]], model: str) -> list[str]:
    """Return the names of the tensors to compress in a model whose family is not known.

    These are matrices with names that mean the same in every family. They are believed to be all only when hardly
    anything else is in numbered layers, so that a model of another kind is refused and never compressed in part.

    Parameters
    ----------
    shapes : dict
        The shapes of all tensors, by name.
    model : str
        What the model is called in a message.

    Raises
    ------
    UserError
        When the numbered layers hold other matrices, too.
    """
    found = [name for name, shape in shapes.items()
             if len(shape) == 2 and _KNOWN_ENDS.fullmatch(name) and not _TOWER.fullmatch(name)]
    others = [name for name, shape in shapes.items()
              if len(shape) > 1 and _NUMBERED.fullmatch(name) and name not in found]
    sizes = {name: math.prod(shapes[name]) for name in (*found, *others)}
    if sum(sizes[name] for name in found) < _ENOUGH * sum(sizes.values()):
        largest = max(others, key=lambda name: sizes[name])
        raise UserError(f"{model}, and its layers hold matrices such as {largest}: say with --include which tensors to "
                        f"compress, for example with {_patterns(sizes, shapes)}")
    return found
