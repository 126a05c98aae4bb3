"""Tiny random models of many families, made by transformers: two layers, width 64, a vocabulary of 128."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import transformers

_BASE = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2,
         "pad_token_id": 0}
_LLAMA = _BASE | {"num_key_value_heads": 2}
_HEADS = _LLAMA | {"head_dim": 16}
_MOE = _HEADS | {"num_experts_per_tok": 2, "moe_intermediate_size": 48}
_SHORT = {"vocab_size": 128, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
           "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def _config(name: str, /, **settings: Any) -> Any:
    return getattr(transformers, f"{name}Config")(**settings)


FAMILIES: dict[str, Callable[[], Any]] = {name: partial(_config, *config[:1], **config[1]) for name, config in {
    "llama": ("Llama", _LLAMA),
    "llama 3.1": ("Llama", _LLAMA | {"rope_parameters": _LLAMA3, "head_dim": 32}),
    "llama 3.2": ("Llama", _LLAMA | {"rope_parameters": _LLAMA3 | {"factor": 32.0}, "head_dim": 32,
                            "tie_word_embeddings": True}),
    "mistral": ("Mistral", _HEADS | {"sliding_window": 8}),
    "mixtral": ("Mixtral", _LLAMA | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2": ("Qwen2", _LLAMA),
    "qwen2-moe": ("Qwen2Moe", _LLAMA | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48,
                                        "shared_expert_intermediate_size": 64}),
    "qwen3": ("Qwen3", _HEADS),
    "qwen3-moe": ("Qwen3Moe", _MOE | {"num_experts": 4}),
    "phi3": ("Phi3", _LLAMA),
    "gemma": ("Gemma", _HEADS),
    "gemma2": ("Gemma2", _HEADS | {"query_pre_attn_scalar": 16, "sliding_window": 8}),
    "gemma3 text": ("Gemma3Text", _HEADS | {"query_pre_attn_scalar": 16, "sliding_window": 8}),
    "granite": ("Granite", _LLAMA | {"embedding_multiplier": 3.0, "residual_multiplier": 0.5,
                                     "attention_multiplier": 0.1, "logits_scaling": 2.0}),
    "smollm3": ("SmolLM3", _LLAMA | {"num_hidden_layers": 4}),  # every fourth layer has no rotary embedding
    "phi": ("Phi", _LLAMA),
    "gpt2": ("GPT2", _SHORT | {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128, "n_inner": 96}),
    "opt": ("OPT", _SHORT | {"hidden_size": 64, "ffn_dim": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
                             "word_embed_proj_dim": 64, "max_position_embeddings": 128}),
    "gpt-neox": ("GPTNeoX", _BASE),
    "falcon": ("Falcon", _SHORT | {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}),
    "bloom": ("Bloom", _SHORT | {"hidden_size": 64, "n_layer": 2, "n_head": 4}),
    "gpt-oss": ("GptOss", _HEADS | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8,
                                    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}),
    "deepseek-v2": ("DeepseekV2", _BASE | {
        "num_key_value_heads": 4, "q_lora_rank": 32, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16,
        "v_head_dim": 16, "head_dim": 8, "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
        "first_k_dense_replace": 1, "moe_intermediate_size": 48, "n_group": 1, "topk_group": 1}),
    "deepseek-v3": ("DeepseekV3", _BASE | {
        "num_key_value_heads": 4, "q_lora_rank": 32, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16,
        "v_head_dim": 16, "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
        "first_k_dense_replace": 1, "moe_intermediate_size": 48, "n_group": 1, "topk_group": 1}),
}.items()}
"""By name of a family, what makes the settings of a tiny model."""


def tiny(family: str) -> Any:
    """Return a tiny model of a family in float32, with weights that do not depend on anything else."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family]())
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 1:  # norms and biases, which begin as ones and zeros, must matter
                value.add_(0.1 * torch.randn_like(value))
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    """Return the logits of a model for some tokens: (1, 24, 128)."""
    with torch.no_grad():
        return model(torch.arange(3, 99, 4)[None]).logits
