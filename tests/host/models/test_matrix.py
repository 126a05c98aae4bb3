"""What works with which family of models, from both kinds of checkpoint: docs/models.md says it, and these runs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers

import host.hf  # noqa: F401  it registers itself
from golden.tree import ROOT
from host.checkpoint.checkpoint import open_checkpoint
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.plan import Options
from host.errors import UserError
from host.measure.layer import Job, layer_matrices, simulate
from host.measure.models import find_model
from tests.host.checkpoint.llama_cpp import ARCHITECTURES, Converter
from tests.host.models.tiny import FAMILIES, logits, tiny

PAGE = ROOT / "docs" / "models.md"
STEPS = ("compress", "sim", "sweep", "decompress", "transformers")
LEAST_SHARE = 0.95
"""Of a decoder's matrices, in bytes, that is compressed without a word of the user."""


def load(folder: Path, **settings: Any) -> Any:
    """Load a folder with transformers. No tensor may be missing or left over."""
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32, **settings)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    return model.eval()


class Runs:
    """The steps of one checkpoint, each of which goes on from those before it."""

    def __init__(self, source: Path, original: Any, root: Path) -> None:
        self.source, self.original = source, original
        self.compressed, self.plain = root / "compressed", root / "plain"

    def compress(self) -> None:
        compress(self.source, self.compressed, Options())
        checkpoint = open_checkpoint(self.source)
        layers = {name: int(np.prod(checkpoint.shape(name))) for name in checkpoint.names()
                  if re.search(r"(layers|h|blocks)\.\d+\..*", name) and len(checkpoint.shape(name)) > 1
                  and not name.endswith("_bias") and not re.search(r"(router|gate)\.weight$", name)}
        chosen = set(checkpoint.compressible())
        assert sum(size for name, size in layers.items() if name in chosen) >= LEAST_SHARE * sum(layers.values())

    def sim(self) -> None:
        matrices, _ = layer_matrices(str(self.source), 1)
        rows = simulate(Job(("seedlm4",), "ideal", 64, "verilator"), matrices)
        assert len(rows) == len(matrices) + 1
        assert all(row.bit_exact for row in rows)

    def sweep(self) -> None:
        file = self.source / "config.json" if self.source.is_dir() else self.source
        shape = find_model(str(file))
        assert shape.streamed_weights <= sum(map(np.prod, map(open_checkpoint(self.source).shape,
                                                              open_checkpoint(self.source).names())))

    def decompress(self) -> None:
        decompress(self.compressed, self.plain)
        model = load(self.plain)
        ties = "tie_word_embeddings"
        assert getattr(model.config, ties, None) == getattr(self.original.config, ties, None)
        wanted, found = logits(self.original), logits(model)
        assert (found - wanted).norm() < 0.4 * wanted.norm()  # four bits, widths of 64

    def transformers(self) -> None:
        assert torch.equal(logits(load(self.compressed, variant="seedlm")), logits(load(self.plain)))


def outcome(step: Callable[[], None]) -> str:
    """Return "yes", or "refused" where the user is told that it does not work. Whatever else happens is a failure."""
    try:
        step()
    except UserError:
        return "refused"
    return "yes"


def outcomes(runs: Runs) -> list[str]:
    """Return the outcomes of all steps. A step that has nothing to go on from is "-"."""
    found: dict[str, str] = {}
    for step in STEPS:
        blocked = step in ("decompress", "transformers") and found["compress"] != "yes"
        found[step] = "-" if blocked else outcome(getattr(runs, step))
    return list(found.values())


def as_gguf(model: Any, folder: Path, path: Path) -> Path:
    """Write a model as llama.cpp would; of families that the independent writer does not know, as much as says which
    architecture it is."""
    if type(model).__name__ in ARCHITECTURES:
        return Converter(folder).write(path)
    writer = gguf.GGUFWriter(path, {"gpt_neox": "gptneox", "phi": "phi2", "gpt_oss": "gpt-oss"}.get(
        model.config.model_type, model.config.model_type.replace("_", "")))
    writer.add_tensor("token_embd.weight", np.zeros((8, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_says_what_works(family: str, tmp_path: Path) -> None:
    model = tiny(family)
    model.save_pretrained(tmp_path / "original")
    found = outcomes(Runs(tmp_path / "original", model, tmp_path))
    (tmp_path / "gguf").mkdir()
    path = as_gguf(model, tmp_path / "original", tmp_path / "gguf" / "model.gguf")
    found += outcomes(Runs(path, model, tmp_path / "gguf"))
    row = f"| {family} | {' | '.join(found)} |"
    assert row in PAGE.read_text().splitlines(), f"docs/models.md should say: {row}"


def test_the_page_has_no_other_family() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (?:yes|refused)", PAGE.read_text(), re.MULTILINE)
    assert rows == list(FAMILIES)
