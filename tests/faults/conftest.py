"""A small model, and a build folder, for tests that run whole commands."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.tree import BUILD
from tests.faults.commands import SHAPES


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small Llama, as a file."""
    rng, path = np.random.default_rng(0), tmp_path / "model.safetensors"
    save_file({f"model.layers.{layer}.{name}.weight": rng.normal(0, 0.02, shape).astype(np.float32)
               for layer in range(4) for name, shape in SHAPES.items()}, path)
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A build folder of its own, in which there are the simulators and kernels of the usual one."""
    build = tmp_path / "build"
    build.mkdir()
    for name in ("simulators", "verilog", "kernels", "tools"):
        (BUILD / name).mkdir(parents=True, exist_ok=True)
        (build / name).symlink_to(BUILD / name)
    return {"SEEDLM_BUILD": str(build)}
