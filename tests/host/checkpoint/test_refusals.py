"""What people have in place of a checkpoint in floats, and files that lie beside one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from host.checkpoint.checkpoint import open_checkpoint
from host.errors import UserError
from tests.host.checkpoint.test_checkpoint import UP, write_safetensors, write_sharded, write_single

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize(("config", "method"), [
    ({"quantization_config": "int8"}, r"\(int8\): give the original checkpoint, in BF16, F16 or F32$"),
    ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"\(gptq\): give the original"),
    ({"quantization_config": {"quant_method": "awq"}}, r"\(awq\)"),
    ({"quantization_config": {"load_in_4bit": True}}, r"\(its config.json does not name the method\)"),
    ({"text_config": {"quantization_config": {"quant_method": "bitsandbytes"}}}, r"\(bitsandbytes\)"),
    ({"experts": [{"quantization_config": {"quant_method": "hqq"}}]}, r"\(hqq\)"),
    ({"compression_config": {"quant_method": "compressed-tensors"}}, r"\(compressed-tensors\)"),
    ({"quantization": {"bits": 4, "group_size": 64}}, r"is quantised already"),
    ({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
     r"\(fp8\): give the original .* after it has loaded this one with FineGrainedFP8Config\(dequantize=True\)$"),
    ({"quantization_config": {"quant_method": "mxfp4"}}, r"\(mxfp4\): .* with Mxfp4Config\(dequantize=True\)$"),
    ({"quantization_config": [4]}, r"\(\[4\]\)")])
def test_configs_of_quantised_models(config: dict[str, Any], method: str, tmp_path: Path) -> None:
    folder = write_single(tmp_path / "model")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=f"model is quantised already {method}" if method[0] == "\\" else method):
        open_checkpoint(folder)


@pytest.mark.parametrize("config", [{}, {"quantization_config": None}, {"text_config": {"quantization_config": {}}}])
def test_configs_of_others(config: dict[str, Any], tmp_path: Path) -> None:
    folder = write_single(tmp_path / "model")
    (folder / "config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(config).encode())  # a BOM changes nothing
    assert open_checkpoint(folder).config() == config


@pytest.mark.parametrize(("names", "message"), [
    (["base_model.model.model.layers.0.q_proj.hada_w1_a"], "holds an adapter"),
    (["layers.0.q_proj.qweight", "layers.0.q_proj.scales"], r"\(GPTQ or AWQ, tensor layers.0.q_proj.qweight\)"),
    (["layers.0.q_proj.weight", "layers.0.q_proj.weight.absmax"], "bitsandbytes"),
    (["layers.0.q_proj.weight", "layers.0.q_proj.SCB"], "bitsandbytes"),
    (["layers.0.q_proj.weight_packed"], "compressed-tensors"),
    (["layers.0.q_proj.weight", "layers.0.q_proj.weight_scale_inv"], "FP8 with block scales"),
    (["layers.0.mlp.experts.gate_up_proj_blocks", "layers.0.mlp.experts.gate_up_proj_scales"], "MXFP4"),
    (["base_model.model.layers.0.q_proj.lora_A.weight"], "holds an adapter .* not a whole model: merge it")])
def test_packed_weights_without_a_config(names: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({name: np.ones((2, 2), np.int32) for name in names}, path)
    with pytest.raises(UserError, match=message):
        open_checkpoint(path)
    (tmp_path / "folder").mkdir()
    path.rename(tmp_path / "folder" / "model.safetensors")
    with pytest.raises(UserError, match=message):
        open_checkpoint(tmp_path / "folder")


def test_a_description_of_packed_weights_beside_them(tmp_path: Path) -> None:
    folder = write_single(tmp_path / "model")
    (folder / "quantize_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"is quantised already \(GPTQ, as quantize_config.json says\)"):
        open_checkpoint(folder)


@pytest.mark.parametrize(("names", "message"), [
    ([], "is empty: give a GGUF file"),
    (["README.md", "training_args.bin"], "holds no .safetensors file: give a GGUF file"),
    (["config.json", "pytorch_model.bin"], "holds weights in PyTorch format only, such as pytorch_model.bin: load it"),
    (["pytorch_model-00001-of-00002.bin"], "write it with save_pretrained"),
    (["model.pt"], "in PyTorch format"),
    (["consolidated.00.pth", "params.json"], "the format of the model's makers format only, .*: give the folder of"),
    (["tf_model.h5"], "in TensorFlow format"), (["flax_model.msgpack"], "in Flax format"),
    (["openvino_model.bin", "openvino_model.xml"], "in OpenVINO format"),
    (["model.onnx"], "in ONNX format"),
    (["adapter_config.json", "adapter_model.safetensors"], r"holds an adapter \(adapter_config.json\) .*: merge it"),
    (["model_index.json"], r"holds a pipeline of diffusers \(model_index.json\)")])
def test_folders_without_weights(names: list[str], message: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=message):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(("name", "message"), [
    ("pytorch_model.bin", "neither a GGUF nor a .safetensors file but in PyTorch format: load it"),
    ("config.json", "holds no weights: give its folder"), ("model.onnx", "in ONNX format"),
    ("other", "neither a GGUF nor a .safetensors file: give")])
def test_files_that_are_no_checkpoint(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("PK")
    with pytest.raises(UserError, match=message):
        open_checkpoint(tmp_path / name)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_pointers_of_git_lfs(name: str, tmp_path: Path) -> None:
    folder = write_single(tmp_path / "model")
    (folder / name).write_text(POINTER)
    with pytest.raises(UserError, match=f"{name} is a pointer of Git LFS and not the file itself: fetch the file with"):
        open_checkpoint(folder)
    for file in ("m.gguf", "m.safetensors"):
        (tmp_path / file).write_text(POINTER)
        with pytest.raises(UserError, match=f"{file} is a pointer of Git LFS"):
            open_checkpoint(tmp_path / file)


def test_model_safetensors_comes_first(tmp_path: Path) -> None:
    """As in transformers: other files and an old index beside it are passed over."""
    folder = write_sharded(tmp_path / "model")
    (folder / "model-00002-of-00002.safetensors").unlink()
    save_file({"tok_embeddings.weight": np.ones((2, 2), np.float32)}, folder / "consolidated.safetensors")
    save_file({"q.lora_A.weight": np.ones((2, 2), np.float32)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    write_safetensors(folder / "model.safetensors")
    checkpoint = open_checkpoint(folder)
    assert checkpoint.files == [folder / "model.safetensors"]
    assert checkpoint.dtype(UP) == "BF16"


def test_a_shard_without_the_others(tmp_path: Path) -> None:
    folder = write_sharded(tmp_path / "model")
    (folder / "model-00002-of-00002.safetensors").unlink()
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(UserError, match=r"model-00001-of-00002\.safetensors, one of 2 shards, and no model"):
        open_checkpoint(folder)
    assert open_checkpoint(folder / "model-00001-of-00002.safetensors").names()


def test_the_index_comes_second(tmp_path: Path) -> None:
    folder = write_sharded(tmp_path / "model")
    save_file({"tok_embeddings.weight": np.ones((2, 2), np.float32)}, folder / "consolidated.safetensors")
    checkpoint = open_checkpoint(folder)
    assert [path.name for path in checkpoint.files] == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert "tok_embeddings.weight" not in checkpoint.names()
