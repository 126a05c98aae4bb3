"""Writes a folder of transformers as llama.cpp's ``convert_hf_to_gguf.py`` does. It follows that program (the folder
``conversion`` of llama.cpp) and the maps of the package ``gguf``, and shares nothing with the reader."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.torch import load_file
from transformers import AutoConfig

ARCHITECTURES = {
    "LlamaForCausalLM": gguf.MODEL_ARCH.LLAMA, "MistralForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "MixtralForCausalLM": gguf.MODEL_ARCH.LLAMA, "Qwen2ForCausalLM": gguf.MODEL_ARCH.QWEN2,
    "Qwen3ForCausalLM": gguf.MODEL_ARCH.QWEN3, "Qwen3MoeForCausalLM": gguf.MODEL_ARCH.QWEN3MOE,
    "Phi3ForCausalLM": gguf.MODEL_ARCH.PHI3, "GemmaForCausalLM": gguf.MODEL_ARCH.GEMMA,
    "Gemma2ForCausalLM": gguf.MODEL_ARCH.GEMMA2, "Gemma3ForCausalLM": gguf.MODEL_ARCH.GEMMA3,
    "GraniteForCausalLM": gguf.MODEL_ARCH.GRANITE, "SmolLM3ForCausalLM": gguf.MODEL_ARCH.SMOLLM3}
PERMUTED = (gguf.MODEL_ARCH.LLAMA, gguf.MODEL_ARCH.GRANITE, gguf.MODEL_ARCH.SMOLLM3)
GEMMAS = (gguf.MODEL_ARCH.GEMMA, gguf.MODEL_ARCH.GEMMA2, gguf.MODEL_ARCH.GEMMA3)


class Converter:
    """One conversion. ``mutate`` names what is left out, to see that the tests notice: permute, offset."""

    def __init__(self, folder: Path, mutate: str = "") -> None:
        self.hparams = AutoConfig.from_pretrained(folder).to_dict()
        self.arch, self.mutate = ARCHITECTURES[self.hparams["architectures"][0]], mutate
        rope = self.hparams["rope_parameters"]
        self.rope: dict[str, Any] = rope.get("full_attention", rope)
        self.local_rope: dict[str, Any] = rope.get("sliding_attention") or {}
        self.head_dim = self.hparams.get("head_dim") or (
            self.hparams["hidden_size"] // self.hparams["num_attention_heads"])
        self.names = gguf.get_tensor_name_map(self.arch, self.hparams["num_hidden_layers"])
        self.tensors: dict[str, np.ndarray] = {}
        for file in sorted(folder.glob("*.safetensors")):
            self.tensors |= {name: value.float().numpy() for name, value in load_file(file).items()}

    def merged(self) -> Iterator[tuple[str, np.ndarray]]:
        """Experts of a layer become one stack (modify_tensors of LlamaModel and of Qwen2MoeModel)."""
        stacks: dict[str, dict[int, np.ndarray]] = {}
        for name, values in self.tensors.items():
            if match := re.fullmatch(r"(.*\.experts\.)(\d+)\.(.*)", name):
                merged = f"{match[1]}{match[3]}".replace("model.layers", "layers").replace(
                    "block_sparse_moe", "feed_forward") if "block_sparse" in name else f"{match[1]}{match[3]}"
                stacks.setdefault(merged, {})[int(match[2])] = values
            else:
                yield name, values
        for name, experts in stacks.items():
            yield name, np.stack([experts[number] for number in range(len(experts))])

    def changed(self, name: str, values: np.ndarray) -> np.ndarray:
        """LlamaModel.permute, and the norms of Gemma."""
        for part, key in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if self.arch in PERMUTED and name.endswith((f"{part}.weight", f"{part}.bias")) and self.mutate != "permute":
                heads = self.hparams[key]
                return (values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:]).swapaxes(1, 2)
                        .reshape(values.shape))
        if self.arch in GEMMAS and name.endswith("norm.weight") and self.mutate != "offset":
            return values + np.float32(1)
        return values

    def extra(self) -> Iterator[tuple[str, np.ndarray]]:
        """generate_extra_tensors of LlamaModel and of Phi3MiniModel."""
        rope = self.rope
        if rope["rope_type"] == "llama3":
            freqs = 1.0 / rope["rope_theta"] ** (np.arange(0, self.head_dim, 2, dtype=np.float32) / self.head_dim)
            low, high, old = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
            factors = []
            for freq in freqs:
                wavelen = 2 * math.pi / freq
                if wavelen < old / high:
                    factors.append(1.0)
                elif wavelen > old / low:
                    factors.append(rope["factor"])
                else:
                    smooth = (old / wavelen - low) / (high - low)
                    factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
            yield "rope_freqs.weight", np.array(factors, np.float32)
        if rope["rope_type"] == "longrope":
            for kind in ("long", "short"):
                yield f"rope_factors_{kind}.weight", np.array(rope[f"{kind}_factor"], np.float32)

    def parameters(self, writer: gguf.GGUFWriter) -> None:
        """set_gguf_parameters of TextModel and of the classes of the families."""
        found, arch, rope = self.hparams, self.arch, self.rope
        writer.add_block_count(found["num_hidden_layers"])
        writer.add_context_length(found["max_position_embeddings"])
        writer.add_embedding_length(found["hidden_size"])
        writer.add_feed_forward_length(found["intermediate_size"])
        writer.add_head_count(found["num_attention_heads"])
        writer.add_head_count_kv(found["num_key_value_heads"])
        writer.add_layer_norm_rms_eps(found["rms_norm_eps"])
        if arch not in (*GEMMAS[:2], gguf.MODEL_ARCH.PHI3):
            if rope["rope_type"] in ("linear", "yarn"):
                writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
                writer.add_rope_scaling_factor(rope["factor"])
            if rope["rope_type"] == "yarn":
                writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
                for key, add in (("beta_fast", writer.add_rope_scaling_yarn_beta_fast),
                                 ("beta_slow", writer.add_rope_scaling_yarn_beta_slow)):
                    if rope.get(key) is not None:
                        add(rope[key])
            writer.add_rope_freq_base(rope["rope_theta"])
            if "rope_theta" in self.local_rope:
                writer.add_rope_freq_base_swa(self.local_rope["rope_theta"])
        if found.get("head_dim") and arch not in (gguf.MODEL_ARCH.GRANITE, gguf.MODEL_ARCH.PHI3):
            writer.add_key_length(found["head_dim"])
            writer.add_value_length(found["head_dim"])
        experts = found.get("num_local_experts") or found.get("num_experts")
        if experts:
            writer.add_expert_count(experts)
            writer.add_expert_used_count(found["num_experts_per_tok"])
        if found.get("moe_intermediate_size"):
            writer.add_expert_feed_forward_length(found["moe_intermediate_size"])
        if arch in PERMUTED:
            writer.add_vocab_size(found["vocab_size"])
            writer.add_rope_dimension_count(self.head_dim)
        if arch == gguf.MODEL_ARCH.GRANITE:
            writer.add_attention_scale(found["attention_multiplier"])
            writer.add_embedding_scale(found["embedding_multiplier"])
            writer.add_residual_scale(found["residual_multiplier"])
            writer.add_logit_scale(found["logits_scaling"])
        if arch == gguf.MODEL_ARCH.GEMMA2:
            writer.add_attn_logit_softcapping(found["attn_logit_softcapping"])
        if arch in GEMMAS[1:]:
            if found.get("final_logit_softcapping"):
                writer.add_final_logit_softcapping(found["final_logit_softcapping"])
            writer.add_sliding_window(found["sliding_window"])
        if arch == gguf.MODEL_ARCH.PHI3:
            writer.add_rope_scaling_orig_ctx_len(found["original_max_position_embeddings"])
            writer.add_rope_dimension_count(int(rope.get("partial_rotary_factor", 1.0) * found["hidden_size"])
                                            // found["num_attention_heads"])
            writer.add_rope_freq_base(rope["rope_theta"])
            writer.add_sliding_window(found["sliding_window"] or 0)
            if rope["rope_type"] == "longrope":
                scale = found["max_position_embeddings"] / found["original_max_position_embeddings"]
                writer.add_rope_scaling_attn_factors(
                    math.sqrt(1 + math.log(scale) / math.log(found["original_max_position_embeddings"])))

    def write(self, path: Path, kind: str = "F32", **split: int) -> Path:
        """Write the file, matrices as ``kind``. ``split`` is ``split_max_tensors`` of GGUFWriter."""
        writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[self.arch], **split)  # type: ignore[arg-type]
        self.parameters(writer)
        for name, values in self.extra():
            writer.add_tensor(name, values)
        for name, values in self.merged():
            if name == "lm_head.weight" and self.hparams["tie_word_embeddings"]:
                continue
            new = self.names.get_name(name, try_suffixes=(".weight", ".bias"))
            assert new, name
            data, number = self.changed(name, values), gguf.GGMLQuantizationType[kind]
            if data.ndim < 2 or kind == "F32":
                writer.add_tensor(new, np.ascontiguousarray(data, np.float32))
            else:
                writer.add_tensor(new, gguf.quants.quantize(data, number), raw_dtype=number)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def config_json(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text()))
