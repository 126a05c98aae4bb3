"""The version of the tree, which several files name."""

import re
import tomllib
from pathlib import Path

from golden.tree import ROOT
from host.errors import UserError

__all__ = ["released_version", "unreleased"]

_ELSEWHERE = {"CITATION.cff": r"^version: (\S+)$", "CHANGELOG.md": r"^## (\d\S*)$"}
"""Other files that name it: the pattern of its first mention in each."""


def released_version(root: Path = ROOT) -> str:
    """Return the version of the tree.

    Raises
    ------
    UserError
        When another file names another one first, or the tree is none: releases are made from sources.
    """
    if not (root / "pyproject.toml").exists():
        raise UserError("a release is made from a clone of the repository, and these packages are installed")
    version = str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])
    for name, pattern in _ELSEWHERE.items():
        match = re.search(pattern, (root / name).read_text(), re.MULTILINE)
        if match is None or match[1] != version:
            raise UserError(f"pyproject.toml is of version {version}, and {name} names "
                            f"{match[1] if match else 'none'}: make them the same")
    return version


def unreleased(root: Path = ROOT) -> bool:
    """Whether CHANGELOG.md has changes that are in no version yet."""
    match = re.search(r"^## Unreleased\n(.*?)^## ", (root / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)
    return bool(match and match[1].strip())
