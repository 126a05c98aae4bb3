"""Tiny models of many families, each as transformers saves it, compressed, and decompressed again; made once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.plan import Options

OPTIONS = Options("7,3,8", shard_bytes=40_000)
"""Blocks of 7 weights, whose rows the models' widths do not fill, and several shards."""
CARRIED = {"tokenizer.json": "{}", "LICENSE": "MIT", "README.md": "A card.", "code/model.py": "a = 1\n",
           "generation_config.json": '{"max_new_tokens": 7, "do_sample": true, "top_k": 5}'}
"""Files of a model that hold no weights, by their paths, and what they hold."""


class Folders(NamedTuple):
    original: Path
    compressed: Path
    plain: Path


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Folders]:
    """A function from the name of a family to the folders of its tiny model, in bfloat16."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.host.models.tiny import tiny

    made: dict[str, Folders] = {}

    def make(family: str) -> Folders:
        if family not in made:
            root = tmp_path_factory.mktemp(family.replace(" ", "-"))
            made[family] = Folders(root / "original", root / "compressed", root / "plain")
            model: Any = tiny(family).to(torch.bfloat16)
            model.save_pretrained(made[family].original)
            for name, content in CARRIED.items():
                (made[family].original / name).parent.mkdir(exist_ok=True)
                (made[family].original / name).write_text(content)
            compress(made[family].original, made[family].compressed, OPTIONS)
            decompress(made[family].compressed, made[family].plain)
        return made[family]

    return make
