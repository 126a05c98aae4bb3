"""Damaged products of a build folder, found by whole commands: each is made once more, with a notice, and the results
are the same."""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.commands import Command, results, sim

PATTERNS = ["kernels/*.so", "compressed/*.npz", "verilog/*/top.sv", "verilog/*/.done", "simulators/*/top",
            "simulators/*/.done", "simulators/runtime-*/verilated.o", "tools/verilator"]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def replace(path: Path) -> None:
    """Something that can be executed takes the place of the product."""
    path.write_text("#!/bin/sh\nexec yes 0 0\n")
    path.chmod(0o755)


def delete(path: Path) -> None:
    path.unlink()


def forbid(path: Path) -> None:
    """The product is whole, but not executable any more."""
    path.chmod(path.stat().st_mode & ~(stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH))


@pytest.mark.faults
@pytest.mark.parametrize("damage", [empty, cut, replace, delete, forbid])
def test_a_damaged_product(damage: Callable[[Path], None], model: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    command = Command(sim(model), {"SEEDLM_BUILD": str(build)})
    command.run()
    wanted = results(build / "sim" / "report.json")
    for pattern in PATTERNS:
        found = list(build.glob(pattern))
        assert found, pattern
        for path in found:
            if path.is_symlink():
                path.unlink()
                path.touch()
            damage(path)
        if pattern.startswith(("verilog", "kernels")):  # they are looked at when what is made of them is made
            shutil.rmtree(build / ("simulators" if pattern.startswith("verilog") else "compressed"))
        process = command.start()
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, f"{pattern}: {err}"
        assert all(line.startswith("notice: ") for line in err.splitlines()), err
        assert results(build / "sim" / "report.json") == wanted
