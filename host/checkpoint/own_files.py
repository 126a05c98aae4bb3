"""The files of a model's folder, which must be the folder's own: a link could copy anything of this machine into a
model that is then passed on."""

import os
import stat
from pathlib import Path

from host.errors import UserError

__all__ = ["require_own_files"]

_MOST = 10_000
"""Files and folders that a model's folder may hold. The largest public models have some 200."""


def _resolved(path: Path) -> Path:
    """Return what a link leads to in the end. UserError when that is nothing."""
    try:
        return Path(os.path.realpath(path, strict=True))
    except OSError as error:
        raise UserError(f"{path} is a link to {os.readlink(path)}, which cannot be followed ({error.strerror}): "
                        "download the model again, or remove the link") from error


def _require_own(path: Path, root: Path, mode: int) -> None:
    """Refuse an entry of the folder ``root`` that is a link out of it, or neither a file nor a folder."""
    if stat.S_ISLNK(mode):
        target = _resolved(path)
        # A snapshot of the Hugging Face hub's cache is a folder of links into the folder `blobs` of the same model.
        in_hub = root.parent.name == "snapshots" and target.parent == root.parent.parent / "blobs"
        if not target.is_relative_to(root) and not in_hub:
            raise UserError(f"{path} is a link to {target}, outside the model's folder: put the file itself in its "
                            "place, or remove the link")
        mode = target.stat().st_mode
        if stat.S_ISDIR(mode) and (in_hub or any(part.startswith(".") for part in target.relative_to(root).parts)):
            raise UserError(f"{path} is a link to {target}, a folder whose links are not looked at: put the folder "
                            "itself in its place, or remove the link")
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(f"{path} is a device, a socket or a pipe: remove it from the model's folder")


def require_own_files(folder: Path) -> None:
    """Check that the files below a folder are its own: no link leads out of it, and there are no devices and no pipes.

    Links that stay inside, and those of the Hugging Face hub's cache from a snapshot to its blobs, are good. Folders
    whose names begin with a dot are passed over, as nothing is read from them.

    Raises
    ------
    UserError
        When an entry is none of its own, cannot be read, or there are more than a model has.
    """
    left, count = [folder], 0
    try:
        root = folder.resolve()
        while left:
            for entry in os.scandir(left.pop()):
                count += 1
                if count > _MOST:
                    raise UserError(f"{folder} holds more than {_MOST} files: give the folder of one model")
                mode = entry.stat(follow_symlinks=False).st_mode
                _require_own(Path(entry.path), root, mode)
                if stat.S_ISDIR(mode) and not entry.name.startswith("."):
                    left.append(Path(entry.path))
    except OSError as error:
        raise UserError(f"cannot read {error.filename or folder} ({error.strerror}): give a "
                        "model's folder that can be read") from error
