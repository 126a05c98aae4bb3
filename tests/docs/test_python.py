"""The Python that docs/python.md shows is run, and does what the page says of it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.tree import ROOT
from host.api import Options, compress, product

TEXT = (ROOT / "docs/python.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def names(example: str) -> dict[str, Any]:
    """What an example leaves, run as a program."""
    found: dict[str, Any] = {}
    exec(compile(example, "docs/python.md", "exec"), found)
    return found


def test_the_first_example_says_the_error_the_product_and_its_cycles(capsys: pytest.CaptureFixture[str]) -> None:
    found = names(EXAMPLES[0])
    error, difference, counters, predicted = capsys.readouterr().out.splitlines()
    assert round(float(error), 3) == 0.119
    assert float(difference) < 1e-3
    assert f"cycles={found['product'].counters.cycles}," in counters
    assert np.array_equal(found["product"].y, product(found["compressed"], found["x"]))
    assert abs(int(predicted) - found["product"].counters.cycles) < found["product"].counters.refresh


def test_a_folder_is_read_as_the_second_example_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = np.random.default_rng(0).normal(0, 0.02, (32, 64)).astype(np.float32)
    name = "model.layers.0.self_attn.q_proj.weight"
    save_file({name: weights}, tmp_path / "model.safetensors")
    compress(tmp_path / "model.safetensors", tmp_path / "folder", Options())
    found = names(EXAMPLES[1].replace("/path/to/folder", str(tmp_path / "folder")))
    assert capsys.readouterr().out == f"{name} (32, 64)\n"
    assert np.array_equal(found["compressed"].weights().astype(np.float32), found["weights"])


def test_every_name_that_the_page_gives_is_public() -> None:
    import host.api
    given = {word.partition(".")[0] for row in re.findall(r"^\| [^|]+ \|([^|]+)\|", TEXT, re.MULTILINE)
             for word in re.findall(r"`([\w.]+)`", row)}
    assert len(given) > 10
    assert given <= set(host.api.__all__)
