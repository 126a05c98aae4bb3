"""The Makefile's variables: a target refuses those that it would not use."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from golden.tree import ROOT

TEXT = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z-]+):.*## ", TEXT, re.MULTILINE)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `make test TESTS=...` was given is not handed on to the make that is tested."""
    for name in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "TESTS"):
        monkeypatch.delenv(name, raising=False)


def dry_run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("target", TARGETS)
def test_a_variable_that_no_target_takes(target: str) -> None:
    done = dry_run(target, "LAYERS=3")
    assert done.returncode == 2
    assert f"make {target} takes no LAYERS, but " in done.stderr


@pytest.mark.parametrize(("target", "variable"), [("sim", "FORMAT=seedlm4"), ("sweep", "ROWS=4"),
                                                  ("roofline", "MEMORY=ddr4-2400"), ("lint", "TESTS=tests/golden")])
def test_a_variable_of_another_target(target: str, variable: str) -> None:
    done = dry_run(target, variable)
    assert done.returncode == 2
    assert f"make {target} takes no {variable.partition('=')[0]}, but " in done.stderr


def test_setup_counts_its_steps(tmp_path: Path) -> None:
    """In the order in which they are made, from nothing; another target does not count."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    setup, sim = (subprocess.run(["make", "--dry-run", target], cwd=tmp_path, capture_output=True, text=True,
                                 check=True).stdout for target in ("setup", "sim"))
    assert re.findall(r"echo 'step (\d) of 7: (\S+)", setup) == [
        (str(number), "creating" if number == 1 else "installing") for number in range(1, 8)]
    assert "echo 'step" not in sim


@pytest.mark.parametrize("target", TARGETS)
def test_every_variable_of_a_recipe_is_taken(target: str) -> None:
    """What a recipe asks for can be given."""
    rule = re.search(rf"^{target}:.*## .*\n((?:\t.*\n)*)", TEXT, re.MULTILINE)
    assert rule
    recipe = rule[1].replace("$(COMMON)", "$(FORMATS) $(BUS) $(SIM) $(ACT_BITS)")
    wanted = set(re.findall(r"\$\(([A-Z_]+)\)", recipe)) - {"BIN", "VENV", "PIP", "MAKEFILE_LIST"}
    done = dry_run(target, *(f"{name}=1" for name in sorted(wanted)))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("words", "missing"), [(("sim",), "g++"), (("sweep", "EXACT=1"), "g++"),
                                                (("sim", "SIM=icarus"), "Icarus Verilog")])
def test_what_pip_does_not_bring_is_asked_for_first(words: tuple[str, ...], missing: str, tmp_path: Path) -> None:
    """Before anything is installed. PATH has nothing but make."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "make").symlink_to(str(shutil.which("make")))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(["make", *words], cwd=tmp_path, capture_output=True, text=True,
                          env={"PATH": str(tmp_path / "bin")})
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {missing} is not installed: run `apt-get install ")
    assert done.stdout == ""


def test_what_the_tests_need_is_asked_for_first(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    steps = subprocess.run(["make", "--dry-run", "test"], cwd=tmp_path, capture_output=True, text=True,
                           check=True).stdout
    assert 0 < steps.index("sim.tools.setup  icarus chromium") < steps.index("installing")


def test_a_small_product_on_a_board_has_no_speed_up_to_reach() -> None:
    least = ["--least 3.9" in dry_run("test-board", *more).stdout for more in ((), ("ARGS=--rows 64 --cols 64",))]
    assert least == [True, False]


def test_a_release_without_bitstreams_needs_no_place_and_route(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    without, whole = (subprocess.run(["make", "--dry-run", "release", *more], cwd=tmp_path, capture_output=True,
                                     text=True, check=True).stdout for more in (["BITSTREAMS=none"], []))
    assert ("installing pnr" in without, "installing pnr" in whole) == (False, True)
