"""transformers loads compressed folders with the plug-in, to the bit as their decompressed ones, and not without it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from golden.tree import ROOT
from host.checkpoint.manifest import MANIFEST
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.plan import Options
from host.errors import UserError
from tests.host.compress.toy import content, flip
from tests.host.hf.conftest import Folders

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from host.hf import SeedlmConfig  # noqa: E402  it imports both
from tests.host.hf.comparison import require_equal, streams  # noqa: E402
from tests.host.models.tiny import logits  # noqa: E402

Make = Callable[[str], Folders]


def load(folder: Path | str, how: str = "on_the_fly", **settings: Any) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, variant="seedlm", quantization_config=SeedlmConfig(decode=how), **settings)


def plain(folder: Path, **settings: Any) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, **settings)


@pytest.mark.filterwarnings("ignore:You passed `quantization_config`")
class TestLoading:
    def test_a_layer_holds_the_bytes_of_its_stream(self, folders: Make) -> None:
        from safetensors import safe_open

        folder = folders("llama").compressed
        stored = {}
        for shard in folder.glob("*.safetensors"):
            with safe_open(shard, "pt") as file:
                stored |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
        held = streams(load(folder))
        assert len(held) == 14
        for name, buffer in held.items():
            assert torch.equal(buffer, stored[name.removesuffix("_seedlm") + ".seedlm"])
        assert not any(name.endswith("_proj.weight") for name, _ in load(folder).named_parameters())

    @pytest.mark.parametrize("dtypes", [("float16",), ("float32",), ("float16", "float64")])
    def test_a_model_takes_other_types_as_an_ordinary_one(self, folders: Make, dtypes: tuple[str, ...]) -> None:
        made = folders("llama")
        found, wanted = load(made.compressed), plain(made.plain)
        for dtype in dtypes:
            found, wanted = found.to(getattr(torch, dtype)), wanted.to(getattr(torch, dtype))
        assert found.model.layers[1].mlp.up_proj.weight.dtype == getattr(torch, dtypes[-1])
        assert torch.equal(logits(found), logits(wanted))

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_another_type_is_that_of_decompress(self, folders: Make, tmp_path: Path, dtype: str) -> None:
        made, kind = folders("gpt2"), getattr(torch, dtype)
        decompress(made.compressed, tmp_path / "plain", {"float32": "F32", "float16": "F16"}[dtype])
        wanted = plain(tmp_path / "plain", dtype=kind)
        for how in ("on_the_fly", "on_load"):
            require_equal(load(made.compressed, how, dtype=kind), wanted)

    def test_generated_tokens_are_equal(self, folders: Make) -> None:
        made = folders("llama")
        prompt = torch.arange(3, 20)[None]
        settings = {"max_new_tokens": 12, "do_sample": False, "min_new_tokens": 12}
        wanted = plain(made.plain).generate(prompt, **settings)
        for how in ("on_the_fly", "on_load"):
            assert torch.equal(load(made.compressed, how).generate(prompt, **settings), wanted)

    def test_tied_embeddings_stay_tied_and_are_decoded_when_they_were_compressed(self, folders: Make,
                                                                                 tmp_path: Path) -> None:
        original = folders("llama 3.2").original
        compress(original, tmp_path / "small", Options("8,3,8", include=("*embed_tokens.weight", "*q_proj.weight")))
        decompress(tmp_path / "small", tmp_path / "plain")
        model = load(tmp_path / "small")
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert sorted(streams(model)) == [f"model.layers.{n}.self_attn.q_proj.weight_seedlm" for n in (0, 1)]
        require_equal(model, plain(tmp_path / "plain"))

    def test_a_tied_head_that_is_stored_in_place_of_the_embedding_is_decoded(self, folders: Make,
                                                                             tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        shutil.copytree(folders("llama 3.2").original, tmp_path / "head")
        shard = tmp_path / "head" / "model.safetensors"
        tensors = load_file(shard)
        tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")
        save_file(tensors, shard, {"format": "pt"})
        compress(tmp_path / "head", tmp_path / "small", Options("8,3,8", include=("*lm_head.weight",)))
        decompress(tmp_path / "small", tmp_path / "plain")
        model = load(tmp_path / "small")
        assert model.lm_head.weight is model.model.embed_tokens.weight
        require_equal(model, plain(tmp_path / "plain"))

    def test_some_experts_may_be_uncompressed(self, folders: Make, tmp_path: Path) -> None:
        compress(folders("mixtral").original, tmp_path / "small", Options("8,3,8", exclude=("*experts.1.*",)))
        decompress(tmp_path / "small", tmp_path / "plain")
        require_equal(load(tmp_path / "small"), plain(tmp_path / "plain"))

    def test_the_hubs_cache_is_loaded_by_the_models_name(self, folders: Make, tmp_path: Path) -> None:
        made = folders("qwen2")
        code = made.compressed / "code" / "model.py"
        root = tmp_path / "models--org--name"
        snapshot = root / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        (root / "blobs").mkdir()
        (root / "refs").mkdir()
        (root / "refs" / "main").write_text("0" * 40)
        for number, file in enumerate(file for file in made.compressed.iterdir() if file.is_file()):
            shutil.copy(file, root / "blobs" / str(number))
            (snapshot / file.name).symlink_to(Path("../../blobs") / str(number))
        shutil.copytree(code.parent, snapshot / "code")
        settings = {"cache_dir": tmp_path, "local_files_only": True}
        require_equal(load("org/name", **settings), plain(made.plain))
        (snapshot / MANIFEST).unlink()
        with pytest.raises(UserError, match="give `hf download org/name`"):
            load("org/name", **settings)


@pytest.mark.filterwarnings("ignore:You passed `quantization_config`")
class TestSaving:
    def test_a_model_with_streams_is_saved_as_the_folder_that_it_is(self, folders: Make, tmp_path: Path) -> None:
        made = folders("mixtral")
        load(made.compressed).save_pretrained(tmp_path / "saved", variant="seedlm")
        assert content(tmp_path / "saved") == content(made.compressed)
        require_equal(load(tmp_path / "saved"), plain(made.plain))

    def test_a_model_with_streams_that_was_changed_is_not_saved(self, folders: Make, tmp_path: Path) -> None:
        def refused(model: Any, why: str, **settings: Any) -> None:
            with pytest.raises(UserError, match=why):
                model.save_pretrained(tmp_path / "saved", **settings)
            assert not (tmp_path / "saved").exists()

        folder = folders("llama").compressed
        refused(load(folder), r"save_pretrained\(push_to_hub=", push_to_hub=True)
        model = load(folder)
        model.model.norm.weight.data[3] += 1
        refused(model, "model.norm.weight is not as in .*on_load")
        model = load(folder)
        model.generation_config.top_k = 9
        refused(model, "generation_config of the model is not as in .*seedlm-fpga seal")
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "a").touch()
        with pytest.raises(UserError, match="is not empty"):
            load(folder).save_pretrained(tmp_path / "full")

    @pytest.mark.parametrize("family", ["mixtral", "gpt2"])
    def test_a_model_that_was_decoded_is_saved_as_an_ordinary_one(self, folders: Make, tmp_path: Path,
                                                                  family: str) -> None:
        made = folders(family)
        load(made.compressed, "on_load").save_pretrained(tmp_path / "saved")
        assert not {"quantization_config", "transformers_weights"} & json.loads(
            (tmp_path / "saved" / "config.json").read_text()).keys()
        require_equal(plain(tmp_path / "saved"), plain(made.plain))


@pytest.mark.filterwarnings("ignore:You passed `quantization_config`")
class TestRefusals:
    @pytest.fixture
    def folder(self, folders: Make, tmp_path: Path) -> Path:
        """A copy of a compressed folder, to be damaged."""
        return Path(shutil.copytree(folders("llama").compressed, tmp_path / "damaged"))

    def test_damage_is_found_before_anything_is_loaded(self, folder: Path) -> None:
        shard = sorted(folder.glob("*.safetensors"))[0]
        flip(shard, shard.stat().st_size - 1)
        with pytest.raises(UserError, match="is damaged"):
            load(folder)

    def test_a_manifest_that_was_changed_is_refused(self, folder: Path) -> None:
        text = (folder / MANIFEST).read_text()
        (folder / MANIFEST).write_text(text.replace('"exponent_bias": -', '"exponent_bias": -1', 1))
        with pytest.raises(UserError, match="does not have the digest"):
            load(folder)

    def test_a_missing_manifest_is_named(self, folder: Path) -> None:
        (folder / MANIFEST).unlink()
        with pytest.raises(UserError, match=f"{MANIFEST} is missing"):
            load(folder)

    def test_a_changed_config_is_refused(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
        with pytest.raises(UserError, match="seedlm-fpga seal"):
            load(folder)

    def test_another_model_is_refused(self, folders: Make) -> None:
        folder = folders("llama").compressed
        config = transformers.AutoConfig.from_pretrained(folder)
        config.intermediate_size = 128
        with pytest.raises(UserError, match="load the folder with its own config"):
            load(folder, config=config)

    def test_an_ordinary_folder_is_not_loaded_with_the_settings(self, folders: Make) -> None:
        with pytest.raises(UserError, match="make one with `seedlm-fpga compress`"):
            plain(folders("llama").plain, quantization_config=SeedlmConfig())

    def test_layers_on_the_disk_are_refused(self, folders: Make) -> None:
        from host.hf import SeedlmQuantizer

        with pytest.raises(UserError, match="cannot be left on the disk"):
            SeedlmQuantizer(SeedlmConfig()).validate_environment(device_map={"model.layers.0": "disk"})

    def test_an_unknown_choice_is_refused(self) -> None:
        with pytest.raises(UserError, match="choose on_the_fly or on_load"):
            SeedlmConfig(decode="sometimes")

    @pytest.mark.parametrize("how", ["on_the_fly", "on_load"])
    def test_a_stream_that_no_encoder_writes_is_refused(self, folders: Make, monkeypatch: pytest.MonkeyPatch,
                                                        how: str) -> None:
        monkeypatch.setattr("host.hf.packed.zero_seeds", lambda *arguments: True)
        with pytest.raises(UserError, match="it has the seed 0"):
            load(folders("llama").compressed, how)

    def test_weights_beyond_a_type_are_refused(self, folders: Make, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        made, name = folders("llama"), "model.layers.0.mlp.up_proj.weight"
        shutil.copytree(made.original, tmp_path / "large")
        shard = tmp_path / "large" / "model.safetensors"
        tensors = load_file(shard)
        save_file(tensors | {name: tensors[name] * 1e7}, shard, {"format": "pt"})
        compress(tmp_path / "large", tmp_path / "small", Options("8,3,8"))
        for how in ("on_the_fly", "on_load"):
            with pytest.raises(UserError, match=f"{name} has weights beyond the range of torch.float16"):
                load(tmp_path / "small", how, dtype=torch.float16)
            load(tmp_path / "small", how)


def test_without_the_plug_in_loading_stops_and_says_what_to_do(folders: Make) -> None:
    """transformers alone, in a process of its own, with and without the variant."""
    script = f"""
import sys
from transformers import AutoModelForCausalLM
for settings in ({{}}, {{"variant": "seedlm"}}):
    try:
        AutoModelForCausalLM.from_pretrained({str(folders("llama").compressed)!r}, **settings)
    except ValueError as error:
        print(error)
assert not any(name.split(".")[0] == "host" for name in sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("`import host.hf` before from_pretrained(folder, variant=\"seedlm\")") == 2, done.stdout
