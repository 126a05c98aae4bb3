"""Which files of a model's folder belong to a compressed one: all that hold no weights.

Tokenizers, configurations, a model's own Python modules, licences, images and the like are carried along unchanged, in
sub-folders too. Files of weights are left behind: those that are compressed, and the same or other weights in other
formats. Names are paths from the model's folder, with ``/`` between folders. Folders whose names begin with a dot, such
as ``.git``, belong to tools and not to the model, and links to folders are not followed.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from host.checkpoint.manifest import MANIFEST
from host.errors import UserError

__all__ = ["CARD", "carried", "files_below", "left_behind", "restored_name", "stored_name"]

CARD = "README.md"
"""Name of the model card, on Hugging Face's hub."""
_WEIGHTS = ("bin", "ckpt", "ggml", "gguf", "h5", "keras", "mlmodel", "msgpack", "nemo", "npz", "onnx", "onnx_data",
            "ot", "params", "pdparams", "pkl", "pt", "pt2", "pte", "pth", "safetensors", "tflite")
"""Endings of files of weights, in formats of which files are on Hugging Face's hub."""
_OF_WEIGHTS = re.compile(rf"\.({'|'.join(_WEIGHTS)})(\.index(\.[^.]+)?\.json)?$", re.IGNORECASE)
"""A file of weights, or the index of several such files."""
_NOT_CARRIED = ("config.json", MANIFEST, f"{MANIFEST}.part", "adapter_config.json")
"""Files at the top that are written anew, or that no loader can use without the weights that are left behind."""
_BASE_CARD = re.compile(r"README((?:\.base)*)\.md")


def files_below(folder: Path) -> list[str]:
    """Return the names of all files of a folder and below it, in order; none when it is no folder.

    Raises
    ------
    UserError
        When a name is not in UTF-8, which a manifest could not list.
    """
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        within = Path(path).relative_to(folder)
        found += [(within / name).as_posix() for name in files if os.path.isfile(os.path.join(path, name))]
    for name in found:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f"the name of {folder / name} is not in UTF-8: rename the file") from None
    return sorted(found)


def carried(folder: Path) -> list[str]:
    """Return the names of the files of a folder that hold no weights, in order. Errors as :func:`files_below`."""
    return [name for name in files_below(folder) if not _OF_WEIGHTS.search(name) and name not in _NOT_CARRIED]


def left_behind(folder: Path, weights: Iterable[Path]) -> list[str]:
    """Return the names of the files of weights in a folder, in order, except for ``weights`` and for indices. Errors
    as :func:`files_below`."""
    known = {path.relative_to(folder).as_posix() for path in weights if path.is_relative_to(folder)}
    return [name for name in files_below(folder)
            if _OF_WEIGHTS.search(name) and not name.lower().endswith(".json") and name not in known]


def stored_name(name: str) -> str:
    """Return the name that a file of the model has in the compressed folder.

    The compressed folder has a card of its own, so that the model's ``README.md`` becomes ``README.base.md``. A
    ``README.base.md`` that the model has becomes ``README.base.base.md``.
    """
    match = _BASE_CARD.fullmatch(name)
    return f"README{match[1]}.base.md" if match else name


def restored_name(name: str) -> str | None:
    """Return the name that a file of the compressed folder has in the model, or None for the compressed folder's own
    card. It undoes :func:`stored_name`."""
    match = _BASE_CARD.fullmatch(name)
    if not match:
        return name
    return f"README{match[1].removesuffix('.base')}.md" if match[1] else None
