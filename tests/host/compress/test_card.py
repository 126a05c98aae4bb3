"""The model card of a compressed folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from host.checkpoint.manifest import read_manifest
from host.compress.compress import compress
from host.compress.decompress import decompress
from tests.host.compress.toy import SMALL, content, folder

CARD = b"""---
license: other
license_name: toy-1.0
license_link: https://example.org/LICENSE
pipeline_tag: "text-generation"
base_model: some/other
language:
- license: no
tags: [license]
---
# A toy
license: wrong
"""


def metadata(out: Path) -> list[str]:
    lines = (out / "README.md").read_text().splitlines()
    assert lines[0] == "---"
    return lines[1:lines.index("---", 1)]


def test_the_card_of_a_model_of_the_hub(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--some-org--Toy-1.1" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    folder(snapshot)
    (snapshot / "README.md").write_bytes(CARD)
    compress(snapshot, tmp_path / "out", replace(SMALL, exclude=("*.0.mlp.*", "it's")))
    assert metadata(tmp_path / "out") == [
        'base_model: "some-org/Toy-1.1"', 'base_model_relation: "quantized"', 'license: "other"',
        'license_name: "toy-1.0"', 'license_link: "https://example.org/LICENSE"', 'pipeline_tag: "text-generation"',
        "library_name: transformers", "tags:", "- seedlm", "- quantized"]
    text = (tmp_path / "out" / "README.md").read_text()
    manifest = read_manifest(tmp_path / "out")
    worst = max(tensor.block_error for name, tensor in manifest.tensors.items() if "q_proj" in name)
    assert "| `model.layers.*.self_attn.q_proj.weight` | 2 | 0." in text
    assert f" | {worst:.4f} |" in text
    assert "| `model.layers.*.mlp.down_proj.weight` | 1 | 0." in text
    assert ("`seedlm-fpga compress MODEL OUT --format 8,3,8 --exclude '*.0.mlp.*' --exclude 'it'\"'\"'s' "
            "--slice-weights 768`" in text)
    assert 'from_pretrained(FOLDER, variant="seedlm")' in text
    assert "[README.base.md](README.base.md)" in text
    assert str(tmp_path) not in text
    decompress(tmp_path / "out", tmp_path / "plain")
    assert (tmp_path / "plain" / "README.md").read_bytes() == CARD


@pytest.mark.parametrize("card", [None, b"", b"# no metadata\nlicense: x\n", b"---\nlicense: mit\n",
                                  b"---\nlicense: [a, b]\n---\n", b"---\n license: nested\n---\n",
                                  b"---\nlicense: \"mit\ntags: x\n---\n", b"\xff\xfe"])
def test_what_is_not_known_is_left_out(card: bytes | None, tmp_path: Path) -> None:
    model = folder(tmp_path / "model")
    if card is not None:
        (model / "README.md").write_bytes(card)
    compress(model, tmp_path / "out", SMALL)
    assert metadata(tmp_path / "out") == ["library_name: transformers", "tags:", "- seedlm", "- quantized"]
    assert ("README.base.md" in content(tmp_path / "out")) == (card is not None)
    decompress(tmp_path / "out", tmp_path / "plain")
    assert content(tmp_path / "plain").get("README.md") == card
