"""GGUF files of every architecture of the table are, in Hugging Face's terms, the model that they were made from."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.numpy import load_file, save_file  # noqa: E402

from host.checkpoint.checkpoint import open_checkpoint  # noqa: E402
from host.checkpoint.gguf_architectures import ARCHITECTURES  # noqa: E402
from host.compress.compress import compress  # noqa: E402
from host.compress.decompress import decompress  # noqa: E402
from tests.host.checkpoint.llama_cpp import Converter  # noqa: E402
from tests.host.compress.toy import SMALL  # noqa: E402

SIZES = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
         "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192, "rope_theta": 500000.0}
LONGROPE = {"rope_type": "longrope", "long_factor": [1.5, 2.0, 3.0, 4.5, 5.0, 6.0], "rope_theta": 10000.0,
            "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 1e6}
SMALL_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}
GEMMA = {"head_dim": 32, "query_pre_attn_scalar": 32}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama tied, biases": ("Llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    "llama 3.1": ("Llama", {"rope_parameters": LLAMA3, **SMALL_HEADS, "head_dim": 32}),
    "llama 3 of another context": ("Llama", {**SMALL_HEADS, "head_dim": 64, "rope_parameters": {
        **LLAMA3, "factor": 32.0, "original_max_position_embeddings": 1024, "high_freq_factor": 8.0}}),
    "llama 3 of a toy": ("Llama", {"rope_parameters": {**LLAMA3, "original_max_position_embeddings": 32}}),
    "llama linear": ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}),
    "llama yarn": ("Llama", {"rope_parameters": {**YARN, "beta_fast": 16.0, "beta_slow": 2.0}}),
    "llama with wide heads": ("Llama", {"head_dim": 32}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mixtral": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen2 yarn": ("Qwen2", {"rope_parameters": YARN}),
    "qwen3": ("Qwen3", {"head_dim": 32}),
    "qwen3 biases": ("Qwen3", {"head_dim": 32, "attention_bias": True}),
    "qwen3moe": ("Qwen3Moe", {"head_dim": 32, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
                              "norm_topk_prob": True}),
    "phi3": ("Phi3", {"sliding_window": 5, "original_max_position_embeddings": 256}),
    "phi3 long": ("Phi3", {"rope_parameters": {**LONGROPE, "partial_rotary_factor": 0.75},
                           "original_max_position_embeddings": 16, "tie_word_embeddings": True}),
    "gemma": ("Gemma", {"head_dim": 32}),
    "gemma2": ("Gemma2", {**GEMMA, "sliding_window": 6, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 3.0}),
    "gemma3": ("Gemma3", {**GEMMA, "sliding_window": 6, "num_hidden_layers": 6, "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 20000.0}}}),
    "granite": ("Granite", {"attention_multiplier": 0.1, "embedding_multiplier": 6.0, "residual_multiplier": 0.3,
                            "logits_scaling": 0.7, "tie_word_embeddings": True}),
    "smollm3": ("SmolLM3", {"num_hidden_layers": 4, "rope_parameters": {"rope_type": "default", "rope_theta": 5e6}}),
}
TOKENS = torch.arange(24).reshape(1, 24) * 5 % 128


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The models as transformers saves them: random, and with norms and biases that make a difference."""
    made = {}
    for name, (family, settings) in MODELS.items():
        config = getattr(transformers, f"{family}{'Text' if family == 'Gemma3' else ''}Config")(**SIZES | settings)
        torch.manual_seed(7)
        model = getattr(transformers, f"{family}ForCausalLM")(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn_like(parameter) * (0.2 if parameter.dim() > 1 else 0.5))
        made[name] = tmp_path_factory.mktemp("hf") / "m"
        model.save_pretrained(made[name])
    return made


def logits(folder: Path) -> np.ndarray:
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    with torch.no_grad():
        return np.asarray(model.eval()(TOKENS).logits[0])


def plain(path: Path, folder: Path) -> Path:
    """The Hugging Face folder that a checkpoint stands for."""
    folder.mkdir()
    checkpoint = open_checkpoint(path)
    save_file({name: checkpoint.read(name) for name in checkpoint.names()}, folder / "model.safetensors",
              {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(checkpoint.config()))
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_a_gguf_is_the_model_that_it_was_made_from(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    made = plain(Converter(folders[name]).write(tmp_path / "m.gguf"), tmp_path / "plain")
    wanted = logits(folders[name])
    assert wanted.std() > 0.05
    assert np.abs(logits(made) - wanted).max() < 2e-4 * np.abs(wanted).max()
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (folders[name], made))
    assert after["architectures"] == before["architectures"] or name == "mistral"
    assert after["rms_norm_eps"] == before["rms_norm_eps"]


def test_every_architecture_is_tested() -> None:
    assert {name.split()[0] for name in MODELS} - {"mistral", "mixtral"} == set(ARCHITECTURES)


@pytest.mark.parametrize(("name", "mutant"), [
    ("llama", "permute"), ("granite", "permute"), ("smollm3", "permute"), ("gemma", "offset"), ("gemma3", "offset")])
def test_the_comparison_notices_what_a_converter_does(name: str, mutant: str, folders: dict[str, Path],
                                                      tmp_path: Path) -> None:
    made = plain(Converter(folders[name], mutant).write(tmp_path / "m.gguf"), tmp_path / "plain")
    wanted = logits(folders[name])
    assert np.abs(logits(made) - wanted).max() > 0.01 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["llama 3.1", "llama linear", "llama yarn", "phi3 long", "gemma3"])
def test_the_comparison_notices_a_rotary_embedding(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    made = plain(Converter(folders[name]).write(tmp_path / "m.gguf"), tmp_path / "plain")
    config = json.loads((made / "config.json").read_text())
    del config["rope_scaling"]
    (made / "config.json").write_text(json.dumps(config))
    wanted = logits(folders[name])
    assert np.abs(logits(made) - wanted).max() > 0.001 * np.abs(wanted).max()


def test_experts_in_a_quantised_stack(folders: dict[str, Path], tmp_path: Path) -> None:
    made = open_checkpoint(Converter(folders["qwen3moe"]).write(tmp_path / "m.gguf", "Q8_0"))
    origin = open_checkpoint(folders["qwen3moe"])
    assert sorted(made.names()) == sorted(origin.names())
    experts = [name for name in made.names() if ".experts." in name]
    assert len(experts) == 2 * 3 * 4
    for name in experts:
        wanted, number = origin.read(name), gguf.GGMLQuantizationType.Q8_0
        assert np.array_equal(made.read(name, slice(3, 9)),
                              gguf.dequantize(gguf.quantize(wanted[3:9], number), number))


@pytest.mark.parametrize("name", ["mixtral", "phi3", "gemma2"])
def test_a_gguf_is_compressed_to_what_the_folder_of_transformers_is(name: str, folders: dict[str, Path],
                                                                    tmp_path: Path) -> None:
    made = {"hf": folders[name], "gguf": Converter(folders[name]).write(tmp_path / "m.gguf")}
    held, found = {}, {}
    for kind, path in made.items():
        compress(path, tmp_path / kind, SMALL)
        held[kind] = load_file(tmp_path / kind / "model.seedlm.safetensors")
        decompress(tmp_path / kind, tmp_path / f"{kind}-plain")
        found[kind] = logits(tmp_path / f"{kind}-plain")
    assert held["hf"].keys() == held["gguf"].keys()
    streams = [tensor for tensor in held["hf"] if tensor.endswith(".seedlm")]
    assert len(streams) == {"mixtral": 2 * (4 + 4 * 3), "phi3": 2 * 4, "gemma2": 2 * 7}[name]
    assert all(np.array_equal(held["hf"][tensor], held["gguf"][tensor]) for tensor in streams)
    assert np.abs(found["gguf"] - found["hf"]).max() < 2e-4 * np.abs(found["hf"]).max()
