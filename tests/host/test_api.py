"""The public interface: its names, and that each is loaded only when it is needed."""

import ast
import subprocess
import sys
import tomllib

import pytest

import host.api
from golden.tree import PACKAGES, ROOT
from host.errors import UserError


def declared() -> dict[str, tuple[str, str]]:
    """Module and name of everything that the file tells a type checker of."""
    tree = ast.parse((ROOT / "host/api.py").read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    return {alias.asname or alias.name: (node.module or "", alias.name) for node in block.body
            if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_every_public_name_is_what_its_type_says() -> None:
    names = declared()
    assert {*names, "UserError"} == set(host.api.__all__) == set(dir(host.api))
    for name, (module, origin) in names.items():
        assert getattr(host.api, name) is getattr(sys.modules[module], origin)
        assert getattr(host.api, name).__doc__


def test_there_is_no_other_name() -> None:
    with pytest.raises(ImportError, match="cannot import name 'encoder'"):
        from host.api import encoder  # noqa: F401


def test_compressing_loads_neither_hardware_nor_simulators() -> None:
    script = ("import sys\nfrom host.api import Options, compress, decode, decompress, encode, open_checkpoint\n"
              "print({'hw', 'sim', 'amaranth', 'torch'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(host.api._PLACES, "sim.dram.none", ("Missing",))
    with pytest.raises(UserError, match=r"host\.api\.Missing needs the package sim\.dram\.none: run `pip "
                                        r"install '\.\[synth\]'` in a checkout"):
        host.api.Missing  # noqa: B018


def test_type_checkers_see_the_annotations() -> None:
    """They look for an empty file in each package, which has to be installed too."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").is_file()
        assert "py.typed" in data[package]
