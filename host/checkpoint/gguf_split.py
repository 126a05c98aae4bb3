"""The files of a GGUF model that is split: ``NAME-00001-of-0000N.gguf``, as llama.cpp's llama-gguf-split names them.

The first part holds the settings. Every part holds its own tensors, and says in ``split.no`` which one it is, from 0
on, in ``split.count`` how many there are, and in ``split.tensors.count`` how many tensors all of them hold.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from host.checkpoint.gguf_header import CURE, GgufHeader, read_header
from host.errors import UserError

__all__ = ["gguf_of_folder", "read_parts"]

_PART = re.compile(r"(?P<stem>.*)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL)


def _siblings(path: Path, count: int) -> list[Path]:
    """Return the files of all parts in order. UserError when the name is not that of a part, or a file is missing."""
    match = _PART.fullmatch(path.name)
    if match is None or int(match["count"]) != count:
        raise UserError(f"{path} is one of {count} parts of a split GGUF, but its name does not end in "
                        f"-00001-of-{count:05d}.gguf: give the parts the names that they had")
    files = [path.with_name(f"{match['stem']}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1)]
    missing = [file.name for file in files if not os.path.isfile(file)]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{path} is one of {count} parts of a split GGUF, and {missing[0]}{others} is not beside it: "
                        "download all parts into one folder")
    return files


def read_parts(path: Path, asked: tuple[str, ...]) -> list[tuple[Path, GgufHeader]]:
    """Read the header of a file and, where it is one part of a split model, those of all parts, the first one first.

    Parameters
    ----------
    asked : tuple of str
        As for :func:`host.checkpoint.gguf_header.read_header`, with the keys of split files among them.

    Raises
    ------
    UserError
        When a file is not a complete GGUF file, a part is missing, or a file is none of the parts of this model.
    """
    given = read_header(path, asked)
    count = given.values.get("split.count")
    if count in (None, 0, 1):
        return [(path, given)]
    if type(count) is not int or not 1 < count < 100_000:
        raise UserError(f"split.count in {path} must be a number of files, not {count!r}: {CURE}")
    files = _siblings(path, count)
    parts = [(file, given if file == path else read_header(file, asked)) for file in files]
    total = parts[0][1].values.get("split.tensors.count")
    seen: dict[str, Path] = {}
    for number, (file, header) in enumerate(parts):
        values = header.values
        if (values.get("split.no"), values.get("split.count")) != (number, count):
            raise UserError(f"{file} does not say that it is part {number + 1} of {count}: download it again, and keep "
                            "its name")
        architecture = values.get("general.architecture", parts[0][1].values.get("general.architecture"))
        if (architecture, values.get("split.tensors.count")) != (
                parts[0][1].values.get("general.architecture"), total):
            raise UserError(f"{file} is a part of another model than {files[0].name}: download both again")
        for name in header.tensors:
            if name in seen:
                raise UserError(f"tensor {name} is both in {seen[name]} and in {file}: download both again")
            seen[name] = file
    if type(total) is int and total != len(seen):
        raise UserError(f"the parts of {files[0]} hold {len(seen)} tensors where it announces {total}: download all "
                        "parts again")
    return parts


def gguf_of_folder(files: Sequence[Path]) -> Path:
    """Return the one GGUF model of a folder: a single file, or the first part of a split one.

    Parameters
    ----------
    files : sequence of Path
        All GGUF files of the folder, at least one.

    Raises
    ------
    UserError
        When there are several models.
    """
    models = {(match["stem"], match["count"]) if (match := _PART.fullmatch(file.name)) else (file.name, ""): file
              for file in sorted(files, reverse=True)}
    if len(models) > 1:
        raise UserError(f"folder {files[0].parent} holds {len(models)} GGUF models: give one of the files, as "
                        f"{min(models.values()).name}")
    return next(iter(models.values()))
