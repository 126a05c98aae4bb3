"""Models of every family, from transformers through compression and decompression and back to transformers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from host.checkpoint.container import open_compressed
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.plan import Options
from tests.host.hf.conftest import CARRIED, Folders

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors import safe_open  # noqa: E402

from host.hf import SeedlmConfig  # noqa: E402  it imports both
from tests.host.hf.comparison import require_equal, streams  # noqa: E402
from tests.host.models.tiny import FAMILIES  # noqa: E402

Make = Callable[[str], Folders]
STREAMS = {"llama": 14, "qwen2": 14, "gemma2": 14, "mixtral": 8, "gpt2": 8, "phi3": 8, "gpt-oss": 8}
"""Layers that keep their streams: seven in each of two in Llama. The experts of Mixtral and gpt-oss are stacked, and so
decoded; GPT-2 and Phi-3 have fused ones."""


def stored(folder: Path) -> dict[str, "torch.Tensor"]:
    """All tensors of a folder's files."""
    found = {}
    for shard in sorted(folder.glob("*.safetensors")):
        with safe_open(shard, "pt") as file:
            found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
    return found


def loaded(folder: Path, **settings: Any) -> Any:
    """A model of which transformers says that nothing was missing, left over or of another shape."""
    model, report = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **settings)
    assert not any(report.values()), report
    return model


@pytest.mark.filterwarnings("ignore:You passed `quantization_config`")
@pytest.mark.parametrize("family", FAMILIES)
def test_there_and_back(folders: Make, family: str) -> None:
    made = folders(family)
    before, after = stored(made.original), stored(made.plain)
    compressed = open_compressed(made.compressed).compressed
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert (tensor.shape, tensor.dtype) == (after[name].shape, after[name].dtype), name
        if name not in compressed:
            assert torch.equal(tensor.view(torch.uint8), after[name].view(torch.uint8)), name
            continue
        error = float((after[name].double() - tensor.double()).norm() / tensor.double().norm())
        assert abs(error - compressed[name].error) < 1e-3, name  # rounding to bfloat16 adds to it
        assert error < 0.6, name

    for name, content in CARRIED.items():
        assert (made.plain / name).read_text() == content, name
    wanted = json.loads((made.original / "config.json").read_text())
    assert json.loads((made.plain / "config.json").read_text()) == wanted

    original, plain = loaded(made.original), loaded(made.plain)
    assert original.generation_config.to_dict() == plain.generation_config.to_dict()
    tied = [model.get_input_embeddings().weight is model.get_output_embeddings().weight for model in (original, plain)]
    assert tied[0] == tied[1] == original.config.tie_word_embeddings

    for how in ("on_the_fly", "on_load"):
        model = loaded(made.compressed, variant="seedlm", quantization_config=SeedlmConfig(decode=how))
        require_equal(model, plain)
        assert model.generation_config.to_dict() == plain.generation_config.to_dict()
        count = STREAMS.get(family, len(streams(model))) if how == "on_the_fly" else 0
        assert len(streams(model)) == count


@pytest.mark.filterwarnings("ignore:You passed `quantization_config`")
def test_tensors_of_several_formats(folders: Make, tmp_path: Path) -> None:
    """Each stream is decoded in the format of its tensor."""
    compress(folders("llama").original, tmp_path / "mixed", Options(bits=3, formats="7,3,8 12,3,8"))
    decompress(tmp_path / "mixed", tmp_path / "plain")
    assert len({tensor.format for tensor in open_compressed(tmp_path / "mixed").compressed.values()}) == 2
    plain = loaded(tmp_path / "plain")
    for how in ("on_the_fly", "on_load"):
        model = loaded(tmp_path / "mixed", variant="seedlm", quantization_config=SeedlmConfig(decode=how))
        require_equal(model, plain)
