"""The project's own tree: where it lies, where builds go, and which of its files a module is made of.

Whatever is cached (a simulator, a kernel, a point of a sweep, a compressed matrix) is found again by the digest of the
sources that it was made from. Those are found by following imports, so that no list has to be kept by hand.
"""

import ast
import hashlib
import os
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

__all__ = ["BUILD", "PACKAGES", "REPORTS", "ROOT", "source_digest", "source_files"]

ROOT = Path(__file__).resolve().parent.parent
"""Folder that holds the packages."""
PACKAGES = ("golden", "hw", "sim", "host")
"""The project's packages; imports of all others are not followed."""
_CHECKOUT = (ROOT / "pyproject.toml").exists()  # not so where the packages were installed
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "seedlm-fpga"
_GIVEN = os.environ.get("SEEDLM_BUILD")
BUILD = Path(_GIVEN or (ROOT / "build" if _CHECKOUT else _CACHE)).resolve()  # tools run in folders of their own
"""Folder of what commands make and find again: ``SEEDLM_BUILD`` of the environment, or ``build`` in a clone of the
repository, or ``seedlm-fpga`` in the user's cache folder (``XDG_CACHE_HOME`` or ``~/.cache``) where the packages were
installed."""
REPORTS = BUILD if _GIVEN or _CHECKOUT else Path("build").resolve()
"""Folder of what commands report: :data:`BUILD`, or ``build`` in the current folder where the packages were
installed."""
_ALONG = (".c", ".h", ".cpp", ".v", ".sv")
"""Endings of sources in other languages, which belong to every module of their folder."""


def _files(name: str) -> list[Path]:
    """The file of a module and those of the packages around it, outermost first; none if ``name`` is no module."""
    parts = name.split(".")
    path = ROOT.joinpath(*parts)
    own = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not own.exists():
        return []
    around = [ROOT.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts))]
    return [*(package for package in around if package.exists()), own]


@cache
def _imported(text: bytes, package: str) -> frozenset[str]:
    """Names that a source of ``package`` imports; of ``from a import b``, both ``a`` and what may be the module
    ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            names.update([origin, *(f"{origin}.{alias.name}" for alias in node.names)])
    return frozenset(name for name in names if name.partition(".")[0] in PACKAGES)


def source_files(*modules: str) -> list[Path]:
    """All files of the project that the modules of these names are made of, sorted.

    Followed are all imports that stand in the text, wherever they stand; sources in other languages belong to the
    modules in their folder.

    Raises
    ------
    ModuleNotFoundError
        When there is no such module.
    """
    found: set[Path] = set()
    wanted = list(modules)
    known = set(wanted)
    for name in wanted:
        if not _files(name):
            raise ModuleNotFoundError(f"no module {name} in {ROOT}")
    while wanted:
        name = wanted.pop()
        for path in _files(name):
            if path in found:
                continue
            found.add(path)
            found.update(beside for beside in path.parent.iterdir() if beside.suffix in _ALONG)
            package = ".".join(path.parent.relative_to(ROOT).parts)
            following = _imported(path.read_bytes(), package) - known
            known |= following
            wanted += following
    return sorted(found)


def source_digest(*modules: str) -> str:
    """SHA-256 of the names and contents of :func:`source_files`, hexadecimal.

    Raises
    ------
    ModuleNotFoundError
        When there is no such module.
    """
    digest = hashlib.sha256()
    for path in source_files(*modules):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
