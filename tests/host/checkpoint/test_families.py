"""Which tensors of every known family are compressed: models made and saved by transformers, with random weights."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

from host.checkpoint.checkpoint import Checkpoint, open_checkpoint
from host.checkpoint.families import FAMILIES
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.plan import Options
from host.errors import UserError

SETTINGS: dict[str, Any] = {
    "vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "moe_intermediate_size": 32, "num_experts": 4,
    "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
    "q_lora_rank": 24, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16,
    "first_k_dense_replace": 1, "shared_expert_intermediate_size": 32, "n_group": 1, "topk_group": 1,
    "linear_num_value_heads": 2, "linear_num_key_heads": 2, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
"""Settings of a tiny model of any family, each of which takes those that it knows."""
_LINEAR = {"layer_types": ["linear_attention", "full_attention"]}
OWN: dict[str, dict[str, Any]] = {
    "qwen3_next": _LINEAR, "qwen3_5_text": _LINEAR, "qwen3_5_moe_text": _LINEAR,
    "lfm2": {"layer_types": ["conv", "full_attention"]}, "granitemoeshared": {"shared_intermediate_size": 96},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 4},
    "gemma4_text": {"enable_moe_block": True, "top_k_experts": 2, "vocab_size_per_layer_input": 128}}
"""Settings of some types alone."""
VISION = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
          "image_size": 28, "patch_size": 14, "depth": 2, "embed_dim": 64, "num_heads": 4, "out_hidden_size": 64}
TOWERS = {"llava": ("clip_vision_model", "llama"), "gemma3": ("siglip_vision_model", "gemma3_text"),
          "mistral3": ("pixtral", "mistral"), "qwen2_vl": (None, None), "qwen2_5_vl": (None, None),
          "qwen3_vl": (None, None)}
"""Multimodal models: the types of their towers and of their decoders, where these are not the only ones."""
LEFT_ALONE = ("embed", "lm_head", "wte", "wpe", "router", "gate.weight", "shared_expert_gate", "gate.wg", "bias",
              "conv", "in_proj_a", "in_proj_b", "per_layer_model_projection")
INPUTS = {"down_proj": 96, "output_linear": 96, "mlp.c_proj": 256}
"""Columns of the matrices that do not take the hidden state, 64, by a part of their names."""


def settings(kind: str) -> dict[str, Any]:
    """The settings of a tiny model of a type."""
    known = SETTINGS if kind == "falcon" else SETTINGS | {"head_dim": 16}
    return known | OWN.get(kind, {})


def saved(config: Any, folder: Path, auto: Any = transformers.AutoModelForCausalLM) -> Checkpoint:
    """Save a model with random weights, and open its folder."""
    torch.manual_seed(0)
    auto.from_config(config).save_pretrained(folder)
    return open_checkpoint(folder)


def matrix_bytes(checkpoint: Checkpoint) -> dict[str, int]:
    """The sizes of the matrices of a model."""
    return {name: math.prod(checkpoint.shape(name)) for name in checkpoint.names() if len(checkpoint.shape(name)) > 1}


@pytest.mark.parametrize("kind", [name for name in FAMILIES if "_vl" not in name])
def test_share_that_is_compressed(kind: str, tmp_path: Path) -> None:
    checkpoint = saved(transformers.AutoConfig.for_model(kind, **settings(kind)), tmp_path)
    compressed, sizes = checkpoint.compressible(), matrix_bytes(checkpoint)
    decoder = [name for name in sizes if ".0." in name or ".1." in name]
    assert sum(sizes[name] for name in compressed) >= 0.95 * sum(sizes[name] for name in decoder)
    assert set(compressed) <= set(decoder)
    for name in sizes.keys() - set(compressed):
        assert any(part in name for part in LEFT_ALONE), name


@pytest.mark.parametrize("kind", TOWERS)
def test_towers_are_left_alone(kind: str, tmp_path: Path) -> None:
    vision, text = TOWERS[kind]
    decoder = settings(text or kind) | ({"model_type": text} if text else {})
    rope = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}}
    config = transformers.AutoConfig.for_model(
        kind, text_config=decoder | (rope if vision is None else {}),
        vision_config=VISION | ({"model_type": vision} if vision else {}))
    checkpoint = saved(config, tmp_path, transformers.AutoModelForImageTextToText)
    compressed, sizes = checkpoint.compressible(), matrix_bytes(checkpoint)
    towers = [name for name in sizes if "vision" in name or "visual" in name]
    decoder_bytes = sum(size for name, size in sizes.items() if "layers." in name and name not in towers)
    assert towers
    assert not set(towers) & set(compressed)
    assert sum(sizes[name] for name in compressed) == decoder_bytes > 0


@pytest.mark.parametrize("kind", ["gpt2", "gpt_oss", "llama4_text", "gpt_bigcode", "granitemoe"])
def test_a_row_is_an_output(kind: str, tmp_path: Path) -> None:
    """A matrix has a column for each input of its layer, and its tensor comes back as it lay."""
    model, out, plain = tmp_path / "model", tmp_path / "out", tmp_path / "plain"
    checkpoint = saved(transformers.AutoConfig.for_model(kind, **settings(kind)), model)
    held = load_file(model / "model.safetensors")
    compress(model, out, Options("8,3,8", slice_weights=3000))
    compressed = open_checkpoint(out)
    decompress(out, plain)
    restored = load_file(plain / "model.safetensors")
    assert restored.keys() == held.keys()
    turned = [name for name in checkpoint.compressible() if checkpoint.transposed(name)]
    assert bool(turned) == (kind in ("gpt2", "gpt_oss", "llama4_text"))
    for name, weights in held.items():
        if name not in checkpoint.compressible():
            assert np.array_equal(weights, restored[name])
            continue
        assert checkpoint.matrix_shape(name)[1] == next((n for part, n in INPUTS.items() if part in name), 64)
        whole = (weights.swapaxes(-1, -2) if name in turned else weights).reshape(checkpoint.matrix_shape(name))
        assert np.array_equal(checkpoint.matrix(name), whole)
        assert np.array_equal(checkpoint.matrix(name, slice(30, 71)), whole[30:71])
        assert 0 < np.linalg.norm(restored[name] - weights) < 0.35 * np.linalg.norm(weights)
        assert np.array_equal(compressed.read(name), restored[name])
        assert np.array_equal(compressed.read(name, slice(1, 3)), restored[name][1:3])
        back = (restored[name].swapaxes(-1, -2) if name in turned else restored[name]).reshape(whole.shape)
        assert np.array_equal(compressed.matrix(name), back)
        assert np.array_equal(compressed.matrix(name, slice(30, 71)), back[30:71])


def folder(path: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> Checkpoint:
    """A folder with these tensors."""
    path.mkdir()
    save_file({name: np.ones(shape, np.float32) for name, shape in shapes.items()}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config))
    return open_checkpoint(path)


LAYER = "model.layers.0"
COMMON = {f"{LAYER}.self_attn.q_proj.weight": (64, 64), f"{LAYER}.mlp.down_proj.weight": (64, 64),
          f"{LAYER}.mlp.gate.weight": (2, 64), "model.embed_tokens.weight": (900, 64)}


@pytest.mark.parametrize("config", [{}, {"model_type": "new"}, {"model_type": ["llama"], "text_config": 5},
                                    {"model_type": "x", "text_config": {"model_type": "y"}}])
def test_names_that_mean_the_same_in_every_family(config: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = folder(tmp_path / "model", config, COMMON)
    assert checkpoint.compressible() == [f"{LAYER}.mlp.down_proj.weight", f"{LAYER}.self_attn.q_proj.weight"]


@pytest.mark.parametrize("other", [f"{LAYER}.mlp.experts.w1", "vision_tower.layers.0.self_attn.q_proj.weight",
                                   f"{LAYER}.mlp.fc1.weight"])
def test_an_unknown_family_is_refused_where_its_layers_hold_more(other: str, tmp_path: Path) -> None:
    checkpoint = folder(tmp_path / "model", {"model_type": "new"}, COMMON | {other: (64, 64)})
    with pytest.raises(UserError, match=rf"the model_type new of .* is not known, and its layers hold .* {other}: say "
                                        "with --include which tensors to compress"):
        checkpoint.compressible()
    compress(tmp_path / "model", tmp_path / "out", Options("8,3,8", include=("*down_proj*",)))


LLAMA = {f"model.layers.{layer}.{part}_proj.weight": (64, 64) for layer in (0, 1) for part in (
    "self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up", "mlp.down")}


def advised(error: pytest.ExceptionInfo[UserError]) -> tuple[str, ...]:
    """The patterns that a message gives."""
    return tuple(re.findall(r"--include '?([^' ]+)'?", str(error.value)))


@pytest.mark.parametrize(("kind", "changed"), [
    ("llama", {"q_proj": "q_proj.base_layer"}), ("llama", {"up_proj": "up_proj.linear"}), ("phi3", {}), ("gpt2", {}),
    ("llama", {"mlp.down_proj.weight": "mlp.experts.0.w2.weight"})])
def test_a_known_family_is_refused_where_its_layers_hold_others(kind: str, changed: dict[str, str],
                                                                tmp_path: Path) -> None:
    """It is never compressed in part without a word, and the patterns in the message take all of it."""
    shapes = {}
    for name, shape in LLAMA.items():
        for before, after in changed.items():
            name = name.replace(before, after)
        shapes[name] = shape
    folder(tmp_path / "model", {"model_type": kind, "num_hidden_layers": 2}, shapes)
    with pytest.raises(UserError, match=r"model hold matrices such as .*, which its model_type does not have") as error:
        compress(tmp_path / "model", tmp_path / "out", Options("8,3,8"))
    compress(tmp_path / "model", tmp_path / "out", Options("8,3,8", include=advised(error)))
    found = load_file(tmp_path / "out" / "model.seedlm.safetensors")
    assert all(name.endswith(".seedlm") for name in found)


def test_the_patterns_for_an_unknown_family_take_its_matrices(tmp_path: Path) -> None:
    shapes = LLAMA | {"model.layers.0.mlp.w1.weight": (64, 64), "model.layers.1.mlp.w1.weight": (64, 64)}
    others: dict[str, tuple[int, ...]] = {
        "model.layers.0.mlp.router.weight": (4, 64), "vision.layers.0.fc.weight": (64, 64),
        "model.layers.0.conv.weight": (64, 64, 1, 1)}
    folder(tmp_path / "model", {"model_type": "new"}, shapes | others)
    with pytest.raises(UserError) as error:
        compress(tmp_path / "model", tmp_path / "out", Options("8,3,8"))
    compress(tmp_path / "model", tmp_path / "out", Options("8,3,8", include=advised(error)))
    found = load_file(tmp_path / "out" / "model.seedlm.safetensors")
    assert set(found) == {f"{name}.seedlm" for name in shapes} | others.keys()


@pytest.mark.parametrize("field", ["num_hidden_layers", "n_layer", "num_layers"])
def test_a_layer_that_is_missing(field: str, tmp_path: Path) -> None:
    folder(tmp_path / "model", {"model_type": "llama", "text_config": {"model_type": "llama", field: 3}}, LLAMA)
    with pytest.raises(UserError, match=f"has no tensor of layer 2, and {field} of its config.json is 3: download"):
        compress(tmp_path / "model", tmp_path / "out", Options("8,3,8", include=("*q_proj*",)))
    folder(tmp_path / "whole", {"model_type": "llama", field: 2}, LLAMA)
    compress(tmp_path / "whole", tmp_path / "out", Options("8,3,8"))


def test_matrices_narrower_than_a_block_are_left_alone(tmp_path: Path) -> None:
    """Kernels of convolutions would become larger."""
    kernels: dict[str, tuple[int, ...]] = {
        "model.layers.0.conv.weight": (64, 64, 1, 1), "model.layers.1.conv.weight": (64, 1, 4)}
    folder(tmp_path / "model", {"model_type": "llama"}, LLAMA | kernels)
    options = Options("8,3,8", include=("default", "*conv*"))
    done = compress(tmp_path / "model", tmp_path / "out", options)
    assert done.plan.left_out == tuple(kernels)
    assert load_file(tmp_path / "out" / "model.seedlm.safetensors").keys() & kernels.keys() == kernels.keys()
