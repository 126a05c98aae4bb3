"""What a GGUF model may say and hold, and what is refused because Hugging Face's model could not say it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
import pytest

from host.checkpoint.checkpoint import default_model, open_checkpoint
from host.checkpoint.gguf_rope import Rope, rope_settings
from host.errors import UserError
from tests.host.checkpoint.tiny_gguf import FFN, WIDTH, tensors, write_tiny

Writer = gguf.GGUFWriter


def number(key: str, value: Any) -> Callable[[Writer], None]:
    """What adds a number, a text, a truth value or a list to a file."""
    def add(writer: Writer) -> None:
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    return add


def vector(name: str, size: int = WIDTH) -> Callable[[Writer], None]:
    return lambda writer: writer.add_tensor(name, np.ones(size, np.float32))


def freqs(values: Any) -> Callable[[Writer], None]:
    return lambda writer: writer.add_tensor("rope_freqs.weight", np.array(values, np.float32))


@pytest.mark.parametrize(("more", "reason"), [
    (number("llama.attention.temperature_scale", 0.1), "has a setting llama.attention.temperature_scale, which cannot"),
    (number("llama.attention.causal", False), "has the setting llama.attention.causal = False, which Hugging Face's"),
    (number("llama.rope.scaling.type", "dynamic"), "has a rotary embedding of the kind dynamic, where this type"),
    (number("llama.rope.scaling.type", "longrope"), "has a rotary embedding of the kind longrope, where this type"),
    (number("llama.rope.scaling.type", "yarn"), "has rope.scaling.type yarn and no rope.scaling.factor"),
    (number("llama.rope.dimension_count", 4), "rotates 4 of the 8 elements of each head"),
    (number("llama.rope.freq_base", 0.0), "has a rotary embedding with a number that is zero, negative or odd"),
    (number("llama.rope.scaling.attn_factor", 1.2), "attn_factor of 1.2, which does not belong to a rotary embedding"),
    (number("llama.rope.scaling.yarn_ext_factor", 1.0), "yarn_ext_factor of 1.0, which does not belong to a rotary"),
    (number("llama.rope.freq_base", True), "llama.rope.freq_base in .* must be a finite number, not True"),
    (number("llama.attention.value_length", 4), "has llama.attention.value_length 4 where keys have 8"),
    (number("llama.attention.key_length", 16), r"q_proj.weight in .* has the shape \(32, 32\), where 4 heads"),
    (number("tokenizer.ggml.bos_token_id", 40), "bos_token_id = 40, where the vocabulary has 40 tokens"),
    (freqs([1, 1, 3, 2]), "has a tensor rope_freqs.weight that is not that of Llama 3's scaling"),
    (freqs([1, 1, 1]), r"has a tensor rope_freqs.weight of shape \(3,\) where heads have 4 frequencies"),
    (vector("blk.0.attn_q.bias"), "has a tensor blk.0.attn_q.bias but none blk.0.attn_k.bias, which Hugging Face's"),
    (vector("blk.1.attn_norm.weight"), "has a tensor model.layers.1.input_layernorm.weight where llama.block_count"),
    (number("llama.expert_count", 4), "has a tensor blk.0.ffn_gate.weight, which no llama that is read from GGUF"),
    (number("llama.scope", [2, 4]), "has a setting llama.scope, which cannot be carried over to Hugging Face's llama")])
def test_what_cannot_be_carried_over(more: Callable[[Writer], None], reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason) as raised:
        open_checkpoint(write_tiny(tmp_path / "m.gguf", more=more)).config()
    assert str(raised.value).endswith(("compress the Hugging Face checkpoint that the file was made from",
                                       "download it again"))


@pytest.mark.parametrize(("without", "reason"), [
    ("context_length", "does not say llama.context_length, which a llama needs: compress the Hugging Face checkpoint"),
    ("blk.0.attn_v.weight", "has no tensor blk.0.attn_v.weight: download it again"),
    ("token_embd.weight", "has no tensor token_embd.weight: download it again")])
def test_what_must_be_there(without: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        open_checkpoint(write_tiny(tmp_path / "m.gguf", without=(without,))).config()


def test_heads_that_differ_from_layer_to_layer(tmp_path: Path) -> None:
    def heads(values: list[int]) -> dict[str, Any]:
        return {"more": number("llama.attention.head_count", values), "without": ("attention.head_count",)}

    with pytest.raises(UserError, match=r"llama.attention.head_count in .* differs from layer to layer"):
        open_checkpoint(write_tiny(tmp_path / "m.gguf", **heads([4, 2]))).config()
    assert open_checkpoint(write_tiny(tmp_path / "n.gguf", **heads([4, 4]))).config()["num_attention_heads"] == 4


@pytest.mark.parametrize("key", ["sliding_window", "scale"])
def test_other_architectures_need_other_settings(key: str, tmp_path: Path) -> None:
    architecture = {"sliding_window": "phi3", "scale": "granite"}[key]
    path = tmp_path / "m.gguf"
    without = tuple(f"blk.0.{part}.weight" for part in ("attn_q", "attn_k", "attn_v", "ffn_gate"))
    write_tiny(path, architecture=architecture, without=without if architecture == "phi3" else ())
    with pytest.raises(UserError, match=f"does not say {architecture}.attention.{key}, which a {architecture} needs"):
        open_checkpoint(path).config()


@pytest.mark.parametrize("dims", [8, 16, 64, 128])
@pytest.mark.parametrize("base", [1e4, 5e5])
@pytest.mark.parametrize("original", [24, 32, 1024, 8192, 10_000])
@pytest.mark.parametrize(("factor", "low", "high"), [(8.0, 1.0, 4.0), (32.0, 1.0, 4.0), (3.5, 0.7, 9.0)])
def test_the_scaling_of_llama_3_is_found(dims: int, base: float, original: int, factor: float, low: float,
                                         high: float) -> None:
    """However many frequencies lie between those that are scaled and those that are not."""
    def divisors(factor: float, original: float, low: float, high: float) -> np.ndarray:
        """``_compute_llama3_parameters`` of transformers, in float32."""
        freqs = 1 / np.float32(base) ** (np.arange(0, dims, 2, dtype=np.float32) / np.float32(dims))
        waves = 2 * np.float32(np.pi) / freqs
        smooth = (original / waves - low) / (high - low)
        scaled = np.where(waves > original / low, freqs / factor, freqs)
        medium = (waves >= original / high) & (waves <= original / low)
        return np.asarray(freqs / np.where(medium, (1 - smooth) * freqs / factor + smooth * freqs, scaled))

    given = divisors(factor, original, low, high).astype(np.float32)
    found = rope_settings(Rope({"rope.freq_base": base}, {"rope_freqs.weight": given}, dims, 131072), ("llama3",))
    if np.allclose(given, 1):
        assert "rope_scaling" not in found
        return
    said = found["rope_scaling"]
    assert np.allclose(divisors(said["factor"], said["original_max_position_embeddings"], said["low_freq_factor"],
                                said["high_freq_factor"]), given, rtol=1e-4)
    if (original, low, high) == (8192, 1.0, 4.0) and dims >= 64:  # with fewer frequencies, others say the same
        assert (said["original_max_position_embeddings"], said["low_freq_factor"], said["high_freq_factor"]) == (
            8192, 1.0, 4.0)


def test_factors_that_scale_nothing(tmp_path: Path) -> None:
    config = open_checkpoint(write_tiny(tmp_path / "m.gguf", more=freqs([1, 1, 1, 1]))).config()
    assert "rope_scaling" not in config
    assert config["rope_theta"] == 10000.0


def test_a_mistral_keeps_its_window(tmp_path: Path) -> None:
    config = open_checkpoint(write_tiny(tmp_path / "m.gguf", more=number("llama.attention.sliding_window", 9))).config()
    assert (config["model_type"], config["sliding_window"]) == ("mistral", 9)


def test_tensors_that_are_copied_keep_about_their_size(tmp_path: Path) -> None:
    far = tensors()["blk.0.ffn_up.weight"] * np.float32(1e5)
    codes = {"Q8_0": gguf.quants.quantize(far, gguf.GGMLQuantizationType.Q8_0)}
    kinds = {"token_embd": "Q8_0", "blk.0.attn_q": "F16", "blk.0.attn_k": "BF16", "blk.0.attn_v": "Q4_1"}
    path = write_tiny(tmp_path / "m.gguf", {f"{name}.weight": kind for name, kind in kinds.items()}, lambda writer:
                      writer.add_tensor("blk.0.ffn_up.weight", codes["Q8_0"], raw_dtype=gguf.GGMLQuantizationType.Q8_0),
                      without=("blk.0.ffn_up.weight",))
    checkpoint = open_checkpoint(path)
    for name, wanted in {"model.embed_tokens": "F16", "model.norm": "F32", "model.layers.0.self_attn.q_proj": "F16",
                         "model.layers.0.self_attn.k_proj": "BF16", "model.layers.0.self_attn.v_proj": "F16",
                         "model.layers.0.self_attn.o_proj": "F32", "model.layers.0.mlp.up_proj": "BF16"}.items():
        content = checkpoint.raw(f"{name}.weight")
        dtype = {"F16": np.float16, "BF16": ml_dtypes.bfloat16, "F32": np.float32}[wanted]
        values = np.frombuffer(b"".join(content.pieces()), dtype).reshape(content.shape)
        assert (content.dtype, content.size) == (wanted, values.nbytes)
        exact = checkpoint.read(f"{name}.weight")
        assert np.array_equal(values, exact.astype(dtype))
        assert np.allclose(values.astype(np.float32), exact, rtol=2**-8, atol=2**-24)
    assert checkpoint.shape("model.layers.0.mlp.up_proj.weight") == (FFN, WIDTH)


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A folder with the parts of a split model."""
    (tmp_path / "split").mkdir()
    write_tiny(tmp_path / "split" / "m.gguf", split_max_tensors=4)
    return tmp_path / "split"


def test_any_part_of_a_split_model_opens_all_of_it(split: Path, tmp_path: Path) -> None:
    whole = open_checkpoint(write_tiny(tmp_path / "m.gguf"))
    parts = sorted(split.iterdir())
    assert [part.name for part in parts] == [f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for path in (*parts, split):
        checkpoint = open_checkpoint(path)
        assert checkpoint.files == parts
        assert checkpoint.config() == whole.config()
        assert checkpoint.names() == whole.names()
        for name in whole.names():
            assert np.array_equal(checkpoint.read(name), whole.read(name))


def lose(split: Path) -> None:
    (split / "m-00002-of-00003.gguf").unlink()


def rename(split: Path) -> None:
    for path in split.iterdir():
        path.rename(path.with_name(path.name.replace("-of-", "_of_")))


def repeat(split: Path) -> None:
    shutil.copy(split / "m-00002-of-00003.gguf", split / "m-00003-of-00003.gguf")


def foreign(split: Path) -> None:
    write_tiny(split / "n.gguf", split_max_tensors=4, without=("blk.0.ffn_up.weight",))
    (split / "n-00003-of-00003.gguf").rename(split / "m-00003-of-00003.gguf")
    for path in split.glob("n-*"):
        path.unlink()


def fetch_not(split: Path) -> None:
    (split / "m-00003-of-00003.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


@pytest.mark.parametrize(("damage", "reason"), [
    (fetch_not, "m-00003-of-00003.gguf is a pointer of Git LFS and not the file itself"),
    (lose, "is one of 3 parts of a split GGUF, and m-00002-of-00003.gguf is not beside it: download all parts"),
    (rename, "its name does not end in -00001-of-00003.gguf: give the parts the names that they had"),
    (repeat, "m-00003-of-00003.gguf does not say that it is part 3 of 3: download it again"),
    (foreign, "m-00003-of-00003.gguf is a part of another model than m-00001-of-00003.gguf: download both again")])
def test_parts_that_are_missing_or_foreign(damage: Callable[[Path], None], reason: str, split: Path) -> None:
    damage(split)
    with pytest.raises(UserError, match=reason):
        open_checkpoint(min(split.iterdir()))


def test_a_folder_of_several_models(split: Path) -> None:
    write_tiny(split / "other.gguf")
    with pytest.raises(UserError, match=r"holds 2 GGUF models: give one of the files, as m-00001-of-00003.gguf"):
        open_checkpoint(split)


def test_the_size_of_a_copy_is_known_before_it_is_read() -> None:
    checkpoint = open_checkpoint(default_model())
    for name in checkpoint.names()[:12]:
        assert checkpoint.raw_size(name) == checkpoint.raw(name).size, name
