"""Shapes from config.json: published counts of parameters, and transformers' own models of every family."""

import json
from pathlib import Path
from typing import Any

import pytest

from host.errors import UserError
from host.measure.config_shape import FAMILIES, shape_of_file
from host.measure.models import find_model
from host.measure.shapes import KvCache, ModelShape

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.host.models import tiny  # noqa: E402  transformers is there

MIXTRAL = {"model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
           "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
           "vocab_size": 32000, "sliding_window": None}
QWEN = {"model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 768,
        "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
        "num_experts": 128, "num_experts_per_tok": 8, "vocab_size": 151936}
DEEPSEEK = {"model_type": "deepseek_v2", "hidden_size": 2048, "intermediate_size": 10944,
            "moe_intermediate_size": 1408, "num_hidden_layers": 27, "num_attention_heads": 16,
            "num_key_value_heads": 16, "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6,
            "first_k_dense_replace": 1, "moe_layer_freq": 1, "q_lora_rank": None, "kv_lora_rank": 512,
            "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 102400}
DEEPSEEK_V3 = DEEPSEEK | {
    "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
    "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "n_routed_experts": 256,
    "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3, "q_lora_rank": 1536,
    "vocab_size": 129280}
GPT_OSS = {"model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 24,
           "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "num_local_experts": 32,
           "experts_per_token": 4, "vocab_size": 201088, "sliding_window": 128}
LLAMA = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256}


def shape(folder: Path, settings: Any) -> ModelShape:
    path = folder / "config.json"
    path.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return shape_of_file(path)


@pytest.mark.parametrize(("settings", "total", "active", "cache"), [
    # The makers' model cards count the embedding among the active parameters, but for gpt-oss and DeepSeek-V2-Lite.
    (MIXTRAL, 46.7, 12.9 - 32000 * 4096 / 1e9, 2 * 32 * 1024 * 2),
    (QWEN, 30.5, 3.35 - 151936 * 2048 / 1e9, 2 * 48 * 512 * 2),
    (DEEPSEEK, 15.7, 2.45, 27 * 576 * 2),
    (DEEPSEEK_V3, 671, 37.55 - 129280 * 7168 / 1e9, 61 * 576 * 2),
    (GPT_OSS, 20.9, 3.61, 2 * 24 * 512 * 2),
    (LLAMA, 8.03, 7.50, 131_072),
], ids=["Mixtral-8x7B", "Qwen3-30B-A3B", "DeepSeek-V2-Lite", "DeepSeek-V3", "gpt-oss-20b", "Llama-3-8B"])
def test_published_counts(settings: dict[str, Any], total: float, active: float, cache: int, tmp_path: Path) -> None:
    model = shape(tmp_path, settings)
    embedding = model.vocab * model.hidden
    assert (model.held_weights + embedding) / 1e9 == pytest.approx(total, rel=3e-3)
    assert model.streamed_weights / 1e9 == pytest.approx(active, rel=3e-3)
    assert model.kv_cache_bytes(100) == 100 * cache
    assert model.layers == settings["num_hidden_layers"]


def counted(model: Any, used: int, held: int) -> tuple[int, int]:
    """Weights that a token reads, and all, of transformers' own model: parameters of two dimensions or more, and the
    head. Those of experts count by the share of the experts that a token uses."""
    read = total = 0
    head = model.get_output_embeddings().weight
    inside = {id(value) for name, value in model.named_parameters()
              if value.dim() > 1 and not name.endswith("bias") and (".layers." in name or ".h." in name)}
    for name, value in model.named_parameters():
        if id(value) in inside and value is not head:
            total += value.numel()
            read += value.numel() * used // held if ".experts." in name else value.numel()
    return read + head.numel(), total + head.numel()


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_families_beside_transformers(family: str, tmp_path: Path) -> None:
    config = tiny.FAMILIES[family]()
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    found = find_model(str(tmp_path / "config.json"))
    used, held = (getattr(config, "num_experts_per_tok", 1), 4) if "num_experts_per_tok" in config.to_dict() else (1, 1)
    assert (found.streamed_weights, found.held_weights) == counted(model, used, held)
    assert found.layers == config.num_hidden_layers


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gemma3 text", "gpt-oss", "gpt2", "falcon", "bloom"])
def test_caches_beside_transformers(family: str, tmp_path: Path) -> None:
    """What transformers keeps of 20 tokens, windows of 8 tokens among them."""
    model = tiny.tiny(family)
    model.config.save_pretrained(tmp_path)
    with torch.no_grad():
        kept = model(torch.arange(20)[None] % 128, use_cache=True).past_key_values
    values = sum(layer.keys.numel() + layer.values.numel() for layer in kept.layers)
    assert shape_of_file(tmp_path / "config.json").kv_cache_bytes(20) == 2 * values


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_files_leave_out(kind: str) -> None:
    """Values are those of transformers' classes, and so are the layers that slide."""
    config = transformers.CONFIG_MAPPING[kind]()
    for key, value in FAMILIES[kind].defaults.items():
        assert getattr(config, key) == value, key
    every = FAMILIES[kind].full_every
    if kinds := config.to_dict().get("layer_types"):
        slide = every and FAMILIES[kind].slides
        assert kinds == ["sliding_attention" if slide and (layer + 1) % every else "full_attention"
                         for layer in range(len(kinds))]
    if "use_sliding_window" in config.to_dict():
        assert FAMILIES[kind].slides == config.use_sliding_window


def test_the_order_of_a_layer_and_its_inputs(tmp_path: Path) -> None:
    model = shape(tmp_path, DEEPSEEK_V3 | {"num_experts_per_tok": 2})
    assert [(kind.name, kind.count) for kind in model.kinds] == [("layer", 58), ("layer 0", 3)]
    chain = model.chain("layer")
    assert [matrix.name for matrix in chain] == [
        "q_a_proj", "kv_a_proj_with_mqa", "q_b_proj", "kv_b_proj", "o_proj", "gate",
        *(f"experts.{expert}.{name}" for expert in (0, 1) for name in ("gate_proj", "up_proj", "down_proj")),
        *(f"shared_experts.{name}" for name in ("gate_proj", "up_proj", "down_proj"))]
    shared = {"kv_a_proj_with_mqa": "q_a_proj"} | {
        matrix.name: "gate" for matrix in chain if matrix.name.endswith(("gate_proj", "up_proj"))}
    assert {matrix.name: matrix.input for matrix in chain if matrix.input != matrix.name
            and not matrix.name.endswith("down_proj")} == shared
    assert model.shape("experts.1.down_proj") == (7168, 2048)
    assert [matrix.name for matrix in model.chain("layer 0")][-3:] == ["gate_proj", "up_proj", "down_proj"]
    with pytest.raises(UserError, match=r"unknown matrix 'fc1': MATRICES are of layer, layer 0, q_a_proj, .*, or all"):
        model.chain("fc1")


def test_a_text_config_and_windows(tmp_path: Path) -> None:
    gemma = {"model_type": "gemma3", "vision_config": {"hidden_size": 1152}, "text_config": {
        "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
        "sliding_window": 1024}}
    model = shape(tmp_path, gemma)
    assert (model.shape("q_proj"), model.shape("k_proj"), model.vocab) == ((2048, 2560), (1024, 2560), 262208)
    assert model.kv_cache_bytes(2000) == 2 * 2048 * (29 * 1023 + 5 * 2000)
    qwen = LLAMA | {"model_type": "qwen2", "sliding_window": 100, "max_window_layers": 28}
    assert shape(tmp_path, qwen).caches == (KvCache(32, 2048),)
    assert shape(tmp_path, qwen | {"use_sliding_window": True}).caches == (KvCache(28, 2048), KvCache(4, 2048, 100))
    given = qwen | {"layer_types": ["sliding_attention", "full_attention"], "num_hidden_layers": 2}
    assert shape(tmp_path, given).caches == (KvCache(1, 2048, 100), KvCache(1, 2048))


@pytest.mark.parametrize(("settings", "message"), [
    ({**LLAMA, "model_type": "bert"}, "model_type is 'bert', a kind of model whose layers are not known here"),
    ({**LLAMA, "model_type": "t5"}, "model_type is 't5'"),
    ({**LLAMA, "model_type": None}, "model_type must be a text, not null"),
    ({"model_type": "whisper"}, "model_type is 'whisper'"),
    ({"model_type": "clip", "text_config": {"model_type": "clip_text_model"}}, "text_config.model_type is 'clip_text"),
    ({"model_type": "llava", "text_config": {"model_type": "llama"}}, "text_config.hidden_size is missing"),
    ({"model_type": "llava", "text_config": "llama"}, "text_config must be an object"),
    ({key: value for key, value in LLAMA.items() if key != "model_type"}, "model_type is missing"),
    ({**LLAMA, "is_encoder_decoder": True}, "is_encoder_decoder is true"),
    ({**LLAMA, "hidden_size": -1}, "hidden_size must be a whole number from 1 to 16777216, not -1"),
    ({**LLAMA, "num_hidden_layers": 10**6}, "num_hidden_layers must be a whole number from 1 to 4096"),
    ({**LLAMA, "num_key_value_heads": 5}, "num_key_value_heads must divide the 32 heads of queries, which 5 does"),
    ({**LLAMA, "intermediate_size": "wide"}, "intermediate_size must be a whole number"),
    ({**MIXTRAL, "num_experts_per_tok": 9}, "num_experts_per_tok must be at most 8, the number of experts, not 9"),
    ({**MIXTRAL, "num_experts_per_tok": 0}, "num_experts_per_tok must be a whole number from 1"),
    ({**MIXTRAL, "num_local_experts": None}, "num_experts is missing"),
    ({**QWEN, "mlp_only_layers": 3}, "mlp_only_layers must be a list"),
    ({**DEEPSEEK, "kv_lora_rank": None}, "kv_lora_rank must be a whole number"),
    ({key: value for key, value in DEEPSEEK.items() if key != "q_lora_rank"}, "q_lora_rank is missing"),
    ({**GPT_OSS, "layer_types": ["full_attention"]}, r"layer_types must have 24 values, one for each layer, not 1"),
    ({**GPT_OSS, "layer_types": ["linear_attention"]}, r"layer_types\[0\] is 'linear_attention', and neither"),
    ({"model_type": "opt", "hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
      "vocab_size": 50272, "word_embed_proj_dim": 512}, "word_embed_proj_dim differs from hidden_size"),
    ("[]", "it must be an object"), ("{", "Expecting property name"),
])
def test_files_that_are_refused(settings: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as raised:
        shape(tmp_path, settings)
    assert "\n" not in str(raised.value)
    assert "give a config.json as on Hugging Face, whose model_type is one of bloom, cohere, " in str(raised.value)
