"""The two distributions of the Python packages: sources, and a wheel that is made of just these."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from golden.tree import ROOT
from host.errors import CheckError, UserError

__all__ = ["distributions"]

_HOOKS = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
"""Calls one of the hooks of PEP 517 in the current folder; its last line is the name of the file."""


def _tracked() -> list[str]:
    """Names of the files that git knows; UserError when it knows none."""
    try:
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise UserError(f"git does not know which files of {ROOT} belong to a release: use a clone of the repository"
                        ) from None
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _made(hook: str, sources: Path, out: Path) -> Path:
    """The distribution that a hook makes of a folder; CheckError when it fails."""
    # Files in the archives have a fixed date, so that equal sources make equal archives.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "946684800"}
    done = subprocess.run([sys.executable, "-c", _HOOKS, hook, str(out)], cwd=sources, capture_output=True, text=True,
                          env=environment, check=False)
    if done.returncode:
        last = (done.stderr.splitlines() or ["no reason was given"])[-1]
        raise CheckError(f"setuptools could not make a distribution: {last}")
    return out / done.stdout.splitlines()[-1]


def distributions(out: Path) -> list[Path]:
    """Make the source distribution and the wheel in a folder, from the files that git knows; return their paths.

    Raises
    ------
    UserError
        When the tree is no clone of the repository.
    CheckError
        When setuptools fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tree, unpacked = Path(scratch) / "tree", Path(scratch) / "unpacked"
        for name in _tracked():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
        sources = _made("build_sdist", tree, out)
        shutil.unpack_archive(sources, unpacked)  # Debian 12's Python has no filter for it; the archive is our own
        return [sources, _made("build_wheel", next(unpacked.iterdir()), out)]
