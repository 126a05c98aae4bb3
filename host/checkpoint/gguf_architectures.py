"""What the architectures of GGUF files are in Hugging Face's terms: the names of tensors and settings, and how the
converter of llama.cpp has changed the weights.

The rules are those of the folder ``conversion`` of llama.cpp, which writes the files (llama.py, qwen.py, phi.py,
gemma.py, granite.py, smollm.py), and of its ``gguf-py/gguf/tensor_mapping.py``. What llama.cpp assumes where a file is
silent is from the folder ``src/models``. An architecture that is not in the table is refused, because a checkpoint that
is read by the rules of another one would be a wrong model without a word.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

__all__ = ["ARCHITECTURES", "EXPERT", "Architecture", "Setting", "architecture_of"]

EXPERT = "{expert}"
"""Stands for the number of an expert in the Hugging Face name of a tensor that GGUF stacks for all experts."""

_TENSOR = re.compile(r"(?:blk\.(?P<layer>0|[1-9][0-9]{0,5})\.)?(?P<part>\w+)\.(?P<kind>weight|bias)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of ``config.json`` that a file states.

    Parameters
    ----------
    name : str
        The name in ``config.json``.
    whole : bool
        Whether the value must be a whole number. Otherwise it is any number.
    default : int or float, optional
        What llama.cpp takes where the file does not say it. A file without the setting is refused where there is no
        default.
    """

    name: str
    whole: bool = True
    default: int | float | None = None


def _table(**entries: str) -> Mapping[str, str]:
    return MappingProxyType(entries)


_OUTER = _table(token_embd="model.embed_tokens", output_norm="model.norm", output="lm_head")
_ATTENTION = _table(attn_q="self_attn.q_proj", attn_k="self_attn.k_proj", attn_v="self_attn.v_proj",
                    attn_output="self_attn.o_proj")
_HEAD_NORMS = _table(attn_q_norm="self_attn.q_norm", attn_k_norm="self_attn.k_norm")
_NORMS = _table(attn_norm="input_layernorm", ffn_norm="post_attention_layernorm")
_FOUR_NORMS = _table(attn_norm="input_layernorm", post_attention_norm="post_attention_layernorm",
                     ffn_norm="pre_feedforward_layernorm", post_ffw_norm="post_feedforward_layernorm")
_MLP = _table(ffn_gate="mlp.gate_proj", ffn_up="mlp.up_proj", ffn_down="mlp.down_proj")
_LLAMA = MappingProxyType({**_ATTENTION, **_NORMS, **_MLP})

_ATTENTION_BIAS = ("attention_bias", tuple(_ATTENTION))
_MLP_BIAS = ("mlp_bias", tuple(_MLP))
_EXPERTS = {"expert_weights_norm": (True,), "expert_weights_scale": (0, 1), "expert_gating_func": (0, 1)}
"""How llama.cpp weighs the experts of Mixtral and Qwen3: the softmax of the chosen ones' logits."""


@dataclass(frozen=True)
class Architecture:
    """What a model type of Hugging Face is in GGUF.

    Parameters
    ----------
    model_type, class_name : str
        ``model_type`` and the entry of ``architectures`` in ``config.json``.
    parts : mapping
        Hugging Face's names of a layer's tensors by GGUF's names, both without the layer and without ``weight``. Every
        layer has all of them.
    experts : mapping
        The same for tensors that GGUF stacks for all experts, with :data:`EXPERT` in Hugging Face's names.
    permuted : bool
        Whether the converter has interleaved the halves of each head in the rows of q and k.
    norm_offset : float
        What the converter has added to the weights of all norms.
    needed_biases : tuple of str
        GGUF's names of the parts of a layer that always have a bias.
    bias_settings : tuple of (str, tuple of str)
        Settings of ``config.json`` that say that all of these parts have a bias. No other part has one.
    settings : mapping
        Settings of ``config.json`` by the key that states them, without the architecture in front.
    assumed : mapping
        By the key: values which mean what Hugging Face's model does anyway. A file with another value is refused.
    fixed : mapping
        What ``config.json`` says besides.
    rope : tuple of str
        What the rotary embedding may be: names of kinds in :mod:`host.checkpoint.gguf_rope`.
    """

    model_type: str
    class_name: str
    parts: Mapping[str, str] = field(default_factory=lambda: _LLAMA)
    experts: Mapping[str, str] = field(default_factory=dict)
    permuted: bool = False
    norm_offset: float = 0.0
    needed_biases: tuple[str, ...] = ()
    bias_settings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    settings: Mapping[str, Setting] = field(default_factory=dict)
    assumed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=lambda: {"hidden_act": "silu"})
    rope: tuple[str, ...] = ("linear", "yarn")

    def name_of(self, name: str) -> str | None:
        """Return Hugging Face's name of a tensor, which has :data:`EXPERT` in it for a stack of experts; None where no
        model of this architecture has such a tensor."""
        match = _TENSOR.fullmatch(name)
        if match is None:
            return None
        layer, part, kind = match["layer"], match["part"], match["kind"]
        if layer is None:
            return f"{_OUTER[part]}.{kind}" if part in _OUTER and kind == "weight" else None
        if kind == "bias" and part not in {*self.needed_biases, *(part for _, parts in self.bias_settings
                                                                  for part in parts)}:
            return None
        found = self.parts.get(part) or self.experts.get(part)
        return f"model.layers.{layer}.{found}.{kind}" if found else None

    def needed(self, layer: int) -> list[str]:
        """Return GGUF's names of the tensors that a layer cannot be without."""
        return [f"blk.{layer}.{part}.weight" for part in (*self.parts, *self.experts)] + [
            f"blk.{layer}.{part}.bias" for part in self.needed_biases]


_MIXTRAL = Architecture(
    "mixtral", "MixtralForCausalLM", {**_ATTENTION, **_NORMS, "ffn_gate_inp": "block_sparse_moe.gate"},
    {f"ffn_{part}_exps": f"block_sparse_moe.experts.{EXPERT}.{name}" for part, name in
     (("gate", "w1"), ("down", "w2"), ("up", "w3"))}, permuted=True,
    settings={"expert_count": Setting("num_local_experts"), "expert_used_count": Setting("num_experts_per_tok")},
    assumed=_EXPERTS, rope=("linear", "yarn", "llama3"))
_MISTRAL = Architecture("mistral", "MistralForCausalLM", permuted=True, rope=("linear", "yarn", "llama3"),
                        settings={"attention.sliding_window": Setting("sliding_window")})
_GEMMA = Architecture("gemma", "GemmaForCausalLM", norm_offset=1.0, bias_settings=(_ATTENTION_BIAS,), fixed={
    "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"})
_GEMMA2 = replace(
    _GEMMA, model_type="gemma2", class_name="Gemma2ForCausalLM", parts={**_ATTENTION, **_FOUR_NORMS, **_MLP}, settings={
        "attention.sliding_window": Setting("sliding_window", default=4096),
        "attn_logit_softcapping": Setting("attn_logit_softcapping", whole=False, default=50.0),
        "final_logit_softcapping": Setting("final_logit_softcapping", whole=False, default=30.0)})
_QWEN3 = Architecture("qwen3", "Qwen3ForCausalLM", {**_LLAMA, **_HEAD_NORMS}, bias_settings=(_ATTENTION_BIAS,))

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({
    # Llama 1 to 3.3, and Mistral without a sliding window, which is the same model.
    "llama": Architecture("llama", "LlamaForCausalLM", permuted=True, bias_settings=(_ATTENTION_BIAS, _MLP_BIAS),
                          rope=("linear", "yarn", "llama3")),
    "qwen2": Architecture("qwen2", "Qwen2ForCausalLM", needed_biases=("attn_q", "attn_k", "attn_v")),
    "qwen3": _QWEN3,
    "qwen3moe": replace(
        _QWEN3, model_type="qwen3_moe", class_name="Qwen3MoeForCausalLM",
        parts={**_ATTENTION, **_NORMS, **_HEAD_NORMS, "ffn_gate_inp": "mlp.gate"},
        experts={f"ffn_{part}_exps": f"mlp.experts.{EXPERT}.{part}_proj" for part in ("gate", "down", "up")},
        settings={"expert_count": Setting("num_experts"), "expert_used_count": Setting("num_experts_per_tok"),
                  "expert_feed_forward_length": Setting("moe_intermediate_size")}, assumed=_EXPERTS,
        fixed={"hidden_act": "silu", "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []}),
    "phi3": Architecture(
        "phi3", "Phi3ForCausalLM", {**_NORMS, "attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj",
                                    "ffn_up": "mlp.gate_up_proj", "ffn_down": "mlp.down_proj"},
        settings={"attention.sliding_window": Setting("sliding_window")}, rope=("longrope",)),
    "gemma": _GEMMA,
    "gemma2": _GEMMA2,
    "gemma3": replace(
        _GEMMA2, model_type="gemma3_text", class_name="Gemma3ForCausalLM", parts={**_GEMMA2.parts, **_HEAD_NORMS},
        settings={"attention.sliding_window": Setting("sliding_window", default=0),
                  "attention.sliding_window_pattern": Setting("sliding_window_pattern", default=6),
                  "rope.freq_base_swa": Setting("rope_local_base_freq", whole=False, default=10000.0),
                  "final_logit_softcapping": Setting("final_logit_softcapping", whole=False, default=0.0)}),
    "granite": Architecture(
        "granite", "GraniteForCausalLM", permuted=True, bias_settings=(_ATTENTION_BIAS, _MLP_BIAS), settings={
            "attention.scale": Setting("attention_multiplier", whole=False),
            "embedding_scale": Setting("embedding_multiplier", whole=False),
            "residual_scale": Setting("residual_multiplier", whole=False),
            "logit_scale": Setting("logits_scaling", whole=False)},
        # llama.cpp leaves the rotary embedding out where this is false, and Hugging Face's Granite always has one.
        assumed={"rope.scaling.finetuned": (True,)}, rope=("linear", "yarn", "llama3")),
    "smollm3": Architecture(
        "smollm3", "SmolLM3ForCausalLM", permuted=True, bias_settings=(_ATTENTION_BIAS, _MLP_BIAS),
        # llama.cpp's smollm3.cpp leaves the rotary embedding out in every fourth layer, whatever the file says.
        fixed={"hidden_act": "silu", "no_rope_layer_interval": 4, "use_sliding_window": False}),
})
"""By ``general.architecture``. Some files of the architecture llama are other models, see :func:`architecture_of`."""


def architecture_of(name: str, values: Mapping[str, Any]) -> Architecture | None:
    """Return the entry of a file.

    Parameters
    ----------
    name : str
        Its ``general.architecture``.
    values : mapping
        Its settings, among them ``llama.expert_count`` and ``llama.attention.sliding_window`` where it has them. With
        experts, a llama is a Mixtral, and with a sliding window a Mistral.
    """
    if name == "llama" and values.get("llama.expert_count"):
        return _MIXTRAL
    if name == "llama" and values.get("llama.attention.sliding_window"):
        return _MISTRAL
    return ARCHITECTURES.get(name)
