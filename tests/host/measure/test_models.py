"""Shapes of models: presets against published parameter counts, shape files, checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from host.errors import UserError
from host.measure.models import find_model
from host.measure.shapes import PRESETS

PUBLISHED = {
    "TinyLlama-1.1B": 1_100_048_384, "Llama-3.2-1B": 1_235_814_400, "Llama-3.2-3B": 3_212_749_824,
    "Llama-2-7B": 6_738_415_616, "Llama-3-8B": 8_030_261_248, "Llama-2-13B": 13_015_864_320,
    "Llama-2-70B": 68_976_648_192, "Llama-3-70B": 70_553_706_496, "Llama-3.1-405B": 405_853_388_800,
}
"""Parameters, as their checkpoints have them."""
MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SETTINGS = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 5,
            "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 512}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_have_the_published_parameters(name: str) -> None:
    model = PRESETS[name]
    embeddings = 1 if "tied" in model.source else 2
    norms = (2 * model.layers + 1) * model.hidden
    assert model.layers * model.layer_weights + embeddings * model.vocab * model.hidden + norms == PUBLISHED[name]
    assert model.streamed_weights == model.layers * model.layer_weights + model.vocab * model.hidden
    assert find_model(name.lower()) is model


def test_all_presets_are_checked() -> None:
    assert set(PRESETS) == set(PUBLISHED)
    weights = [model.streamed_weights for model in PRESETS.values()]
    assert weights == sorted(weights)


def test_shapes_and_the_kv_cache() -> None:
    model = PRESETS["Llama-3-8B"]
    assert {name: model.shape(name) for name in (*MATRICES, "lm_head")} == {
        "q_proj": (4096, 4096), "k_proj": (1024, 4096), "v_proj": (1024, 4096), "o_proj": (4096, 4096),
        "gate_proj": (14336, 4096), "up_proj": (14336, 4096), "down_proj": (4096, 14336), "lm_head": (128256, 4096)}
    assert model.kv_cache_bytes(3) == 3 * 131_072


def test_a_shape_file(tmp_path: Path) -> None:
    path = tmp_path / "mine" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(SETTINGS))
    model = find_model(str(path))
    assert (model.name, model.source, model.path) == ("mine", str(path), None)
    assert (model.shape("k_proj"), model.shape("down_proj"), model.layers) == ((32, 64), (64, 172), 5)
    # Without kv heads all have their own; the width of a head may be given.
    path.write_text(json.dumps({**SETTINGS, "num_key_value_heads": None, "head_dim": 16}))
    assert find_model(str(path)).shape("v_proj") == (128, 64)


@pytest.mark.parametrize(("content", "message"), [
    ("{", "Expecting property name"), ("[1]", "it must be an object, not a list"), ("{}", "model_type is missing"),
    (json.dumps({**SETTINGS, "vocab_size": "many"}), "vocab_size must be a whole number from 1 to [0-9]*, not .many."),
    (json.dumps({**SETTINGS, "num_hidden_layers": 0}), "num_hidden_layers must be a whole number .*, not 0"),
    (json.dumps({**SETTINGS, "num_attention_heads": True}), "num_attention_heads must be a whole number .*, not true"),
])
def test_a_malformed_shape_file(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "shape.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as raised:
        find_model(str(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown model 'Lama-2-7B': did you mean Llama-2-7B\? MODELS are of TinyL"):
        find_model("Lama-2-7B")
    with pytest.raises(UserError, match=r"cannot read .*/no\.json \(No such file or directory\)"):
        find_model(str(tmp_path / "no.json"))


def test_a_checkpoint(tmp_path: Path) -> None:
    shapes = {
        "self_attn.q_proj": (24, 16), "self_attn.k_proj": (8, 16), "self_attn.v_proj": (8, 16),
        "self_attn.o_proj": (16, 24), "mlp.gate_proj": (40, 16), "mlp.up_proj": (40, 16), "mlp.down_proj": (16, 40)}
    tensors = {f"model.layers.{layer}.{name}.weight": np.zeros(shape, np.float32)
               for layer in range(3) for name, shape in shapes.items()}
    path = tmp_path / "model.safetensors"
    save_file({**tensors, "model.embed_tokens.weight": np.zeros((99, 16), np.float32)}, path)
    model = find_model(str(path))
    assert (model.path, model.layers, model.shape("lm_head")) == (path, 3, (99, 16))
    assert {name: model.shape(name) for name in MATRICES} == {name.partition(".")[2]: shape
                                                              for name, shape in shapes.items()}
    assert model.kv_cache_bytes(1) == 2 * 3 * 8 * 2
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"has neither lm_head\.weight nor embed_tokens\.weight"):
        find_model(str(path))


@pytest.mark.parametrize(("name", "shape"), [("self_attn.q_proj", (16,)), ("mlp.gate_proj", ()),
                                             ("self_attn.k_proj", (0, 4)), ("embed_tokens", ())])
def test_a_checkpoint_whose_matrices_are_none(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    tensors = {f"model.layers.0.{part}.weight": np.zeros((4, 4), np.float32) for part in (
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
        "mlp.down_proj")} | {"model.embed_tokens.weight": np.zeros((4, 4), np.float32)}
    wrong = next(key for key in tensors if name in key)
    save_file({**tensors, wrong: np.zeros(shape, np.float32)}, tmp_path / "m.safetensors")
    with pytest.raises(UserError, match="not that of a matrix"):
        find_model(str(tmp_path / "m.safetensors"))
