"""Models of the Hugging Face hub that are on this machine: in its cache, as huggingface_hub lays it out.

The cache has a folder ``models--ORG--NAME`` for each model. There, ``refs/REVISION`` is a file that holds the name of a
commit, and ``snapshots/COMMIT`` is the folder with the model's files. Nothing is ever downloaded.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from host.errors import UserError
from host.regular_file import open_regular

__all__ = ["download", "find_model", "hub_cache"]

_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_COMMIT = re.compile(r"[0-9A-Za-z][\w.-]*")
_LONGEST = 200  # characters of a reference


def _expanded(folder: str | Path) -> Path:
    """Return a folder of the environment as huggingface_hub takes it, which may name other variables, too."""
    return Path(os.path.expandvars(os.path.expanduser(folder)))


def hub_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the hub's cache, which the variables say that huggingface_hub/constants.py reads."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if folder := environment.get(variable):
            return _expanded(folder)
    home = environment.get("HF_HOME") or Path(environment.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return _expanded(Path(home, "hub"))


def download(folder: Path, revision: str) -> str:
    """Return the command that downloads the model of a folder ``models--ORG--NAME``."""
    name = folder.name.removeprefix("models--").replace("--", "/")
    return f"hf download {name}" + (f" --revision {revision}" if revision else "")


def _folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, in order; none when it cannot be read."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []


def _snapshot(folder: Path, revision: str) -> Path:
    """Return the snapshot of a model in the cache.

    Parameters
    ----------
    revision : str
        A branch, a tag or a commit. Empty for ``main`` or, where that is not there, the only snapshot.

    Raises
    ------
    UserError
        When there is none, or there are several to choose from.
    """
    snapshots, commit = folder / "snapshots", revision
    references = folder / "refs"
    reference = references / (revision or "main")
    if reference.is_relative_to(references) and ".." not in reference.parts and os.path.isfile(reference):
        with open_regular(reference, f"download the model again: {download(folder, revision)}") as file:
            commit = file.read(_LONGEST).decode("ascii", "replace").strip()
    if _COMMIT.fullmatch(commit) and os.path.isdir(snapshots / commit):
        return snapshots / commit
    if commit != revision:  # another snapshot would be another model
        raise UserError(f"{folder} holds no snapshot {commit}, which {reference} names: download it with "
                        f"{download(folder, revision)}")
    found = _folders(snapshots)
    if not revision and len(found) == 1:
        return snapshots / found[0]
    if not revision and found:
        raise UserError(f"{folder} holds several snapshots and no main: choose one with --revision {found[0]} or "
                        f"--revision {found[1]}")
    raise UserError(f"{folder} holds no {f'revision {revision}' if revision else 'snapshot'} of the model: download it "
                    f"with {download(folder, revision)}")


def find_model(model: str | os.PathLike[str], revision: str = "") -> Path:
    """Return the path of a model: a file or a folder.

    Parameters
    ----------
    model : path
        A file or a folder, which may be the one of a model in the hub's cache; or the name of a model of the hub, as in
        ``org/name``, that is in the cache.
    revision : str
        Which revision of a model of the hub, as :func:`_snapshot` takes it.

    Raises
    ------
    UserError
        When a name of the hub is not in the cache, the revision is not, or a revision is given for another path.
    """
    path, cache = Path(model), hub_cache()
    if os.path.lexists(path):
        if os.path.isdir(path / "snapshots"):
            return _snapshot(path.resolve(), revision)
        if revision:
            raise UserError(f"{path} has no revisions: leave --revision {revision} out, or name a model of the hub")
        return path
    name = str(model)
    cached = cache / (name if name.startswith("models--") else f"models--{name.replace('/', '--')}")
    if _ID.fullmatch(name) and os.path.isdir(cached):
        return _snapshot(cached, revision)
    if _ID.fullmatch(name) and ("/" in name or revision):
        raise UserError(f"there is no file or folder {name}, and no model of this name in the hub's cache {cache}: "
                        f"give a path, or download the model with {download(cached, revision)}")
    return path
