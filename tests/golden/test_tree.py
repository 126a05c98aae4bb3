"""Digests of sources: whatever a cached thing imports is in its digest, and nothing else is."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from golden import tree
from golden.spec import SEEDLM4
from golden.tree import PACKAGES, ROOT, source_digest, source_files
from host.compress import plan
from host.encoder import cache as store
from host.encoder import kernel
from host.measure import sweep_workers
from hw.config import EngineConfig
from hw.flow import verilog
from sim.device.system import System
from sim.dram.presets import preset
from sim.tools import build, mapped

_SYSTEM = (EngineConfig(SEEDLM4, 64), preset("ideal"), 1 << 20)

CACHED: dict[str, tuple[tuple[str, ...], Callable[[], str]]] = {
    "simulator": (("hw.flow.verilog", "sim.device.system"), lambda: build._sources(System, _SYSTEM, verilog)),
    "mapped simulator": (("sim.tools.mapped", "sim.device.system"), lambda: build._sources(System, _SYSTEM, mapped)),
    "kernel": (("host.encoder.kernel",), lambda: kernel._digest(kernel._compiler(), [])),
    "compressed matrix": (("host.encoder.encoder",),
                          lambda: store._digest(np.zeros((1, 8), np.float32), SEEDLM4, "exact")),
    "unfinished compression": (("host.encoder.encoder", "host.encoder.torch_encoder"), plan.encoder_digest),
    "unfinished compression with calibration": (
        ("host.encoder.encoder", "host.encoder.torch_encoder", "host.feedback.feedback"),
        lambda: plan.encoder_digest(calibrated=True)),
    "sweep point": (("host.measure.sweep_point",), lambda: sweep_workers.sources.__wrapped__(False)),
    "sweep point of a checkpoint": (("host.measure.sweep_point", "host.measure.stored_point"),
                                    lambda: sweep_workers.sources.__wrapped__(True)),
}
"""What is cached: the modules that make it, and the function whose value decides whether it is stale."""


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the packages that digests are made of."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(tree, "ROOT", tmp_path)
    return tmp_path


def _imported(modules: tuple[str, ...]) -> set[str]:
    """The project's modules that an import of ``modules`` loads."""
    code = f"import sys, {', '.join(modules)}\nprint(*(n for n in sys.modules if n.partition('.')[0] in {PACKAGES}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", CACHED)
def test_every_imported_module_changes_the_digest_and_no_other(name: str, copied: Path) -> None:
    modules, digest = CACHED[name]
    before, loaded, changed = digest(), _imported(modules), set()
    for path in sorted(path for package in PACKAGES for path in (copied / package).rglob("*.py")):
        text = path.read_text()
        path.write_text(text + "\n# touched\n")
        if digest() != before:
            changed.add(".".join(path.relative_to(copied).with_suffix("").parts).removesuffix(".__init__"))
        path.write_text(text)
    assert digest() == before
    assert loaded <= changed
    # What is imported later, inside a function, may be more; everything else leaves the digest as it is.
    assert changed == {".".join(path.relative_to(copied).with_suffix("").parts).removesuffix(".__init__")
                       for path in source_files(*modules) if path.suffix == ".py"}
    assert "host.cli.main" not in changed


@pytest.mark.parametrize(("name", "source"), [
    ("kernel", "search_tables.h"), ("compressed matrix", "search.c"), ("simulator", "ram.v"),
    ("mapped simulator", "ecp5_blocks.v"), ("sweep point", "native_harness.cpp")])
def test_sources_in_other_languages_count(name: str, source: str, copied: Path) -> None:
    digest = CACHED[name][1]
    before = digest()
    (path,) = copied.rglob(source)
    path.write_text(path.read_text() + "\n")
    assert digest() != before


def test_a_component_outside_of_the_packages_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "somebodys.py"
    monkeypatch.syspath_prepend(tmp_path)
    path.write_text("class Part:\n    pass\n")
    import somebodys  # type: ignore[import-not-found]

    before = build._sources(somebodys.Part, (), verilog)
    path.write_text("class Part:\n    pass  # touched\n")
    assert build._sources(somebodys.Part, (), verilog) != before


def test_imports_in_all_forms_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "ROOT", tmp_path)
    sources = {
        "golden/__init__.py": "", "golden/a.py": "import numpy, golden.b\nfrom golden import c, PI\n",
        "golden/b.py": "def f():\n    from golden.room import inner\n", "golden/c.py": "from . import d\n",
        "golden/d.py": "import golden.a", "golden/other.py": "", "golden/room/__init__.py": "from .door import x\n",
        "golden/room/inner.py": "", "golden/room/door.py": "", "golden/room/beside.h": "", "golden/room/notes.txt": "",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    found = {path.relative_to(tmp_path).as_posix() for path in source_files("golden.a")}
    assert found == set(sources) - {"golden/other.py", "golden/room/notes.txt"}


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no module golden\.nothing in "):
        source_digest("golden.nothing")
