"""A package of a small core, and an environment for its commands in which this project cannot be imported."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from find_libpython import find_libpython

from golden.spec import SEEDLM4
from golden.tree import PACKAGES
from host.ip.core import Core
from host.ip.ip import write_package
from hw.config import EngineConfig
from sim.tools import toolchain

NAME = "seedlm4_32"


@pytest.fixture(scope="session")
def core() -> Core:
    return Core(EngineConfig(SEEDLM4, 32, max_cols=256, max_rows=64), NAME)


@pytest.fixture(scope="session")
def written(core: Core, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package, which tests only read."""
    out = tmp_path_factory.mktemp("ip") / NAME
    write_package(core, out)
    return out


@pytest.fixture
def package(written: Path, tmp_path: Path) -> Path:
    """A copy of the package, in which tests run its commands."""
    return Path(shutil.copytree(written, tmp_path / "elsewhere" / NAME))


@pytest.fixture
def environment(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Variables for the commands of a package that need a simulator, by the simulator's name.

    cocotb-test runs the command ``verilator`` by Perl, so it is a script here, as Verilator's own installation has it.
    """
    def of(simulator: str) -> dict[str, str]:
        toolchain.require(simulator)
        own, hidden = tmp_path / "bin", tmp_path / "hidden"
        own.mkdir(exist_ok=True)
        for name in PACKAGES:
            (hidden / name).mkdir(parents=True, exist_ok=True)
            (hidden / name / "__init__.py").write_text("raise ImportError('the package needs nothing of this project')")
        found = toolchain.environment(tmp_path / "tools")
        variables = {name: value for name, value in os.environ.items()
                     if not name.startswith(("PYTHON", "VIRTUAL_ENV", "PYTEST", "COCOTB"))}
        variables |= {"PATH": os.pathsep.join([str(own), str(Path(sys.executable).parent), variables["PATH"]]),
                      "PYTHONPATH": str(hidden), "LIBPYTHON_LOC": str(find_libpython()),
                      "SIM": simulator, "PYTHONDONTWRITEBYTECODE": "1",
                      "MAKEFLAGS": toolchain.make_flags("OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0")}
        if simulator == "verilator":
            root = found["VERILATOR_ROOT"]
            (own / "verilator").write_text(f"#!/usr/bin/env perl\nexec '{root}/bin/verilator_bin', @ARGV;\n")
            (own / "verilator").chmod(0o755)
            variables["VERILATOR_ROOT"] = root
        return variables

    return of
