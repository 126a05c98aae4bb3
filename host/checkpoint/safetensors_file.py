"""Weights of safetensors files: a single file, or a Hugging Face folder of one file or several."""

from os import PathLike
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  registers bfloat16, which safetensors looks for
import numpy as np
import safetensors

from host.checkpoint.shards import Content, copied, tensors_of
from host.errors import UserError
from host.json_reader import open_regular, read_json

__all__ = ["SafetensorsFiles"]

_INDEX = "model.safetensors.index.json"
_FLOATS = ("F64", "F32", "F16", "BF16")


def _open(path: Path) -> Any:
    """Open a file whose tensors are read when they are asked for. The library checks its header and its length."""
    open_regular(path, "make it readable or download it again").close()  # a file that cannot be read is not incomplete
    try:
        return safetensors.safe_open(path, framework="numpy")
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is not a complete safetensors file ({error}): download it again") from error


def _stored(file: Any, name: str) -> tuple[tuple[int, ...], str]:
    """Return shape and storage type of one tensor."""
    try:
        part = file.get_slice(name)
    except (AttributeError, TypeError):  # NumPy does not have the type, such as floats of eight bits
        return (), "a type for quantised weights"
    return tuple(part.get_shape()), part.get_dtype()


class SafetensorsFiles:
    """A ``.safetensors`` file, or a folder with an index or with one such file.

    ``tensors`` maps names to (shape, storage type), and ``files`` are all files that hold tensors.

    Raises
    ------
    UserError
        When a file is missing or incomplete, or the index is unusable or disagrees with the files.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        index = self.path / _INDEX
        if self.path.is_file():
            self._files, self.files = dict.fromkeys((file := _open(self.path)).keys(), file), [self.path]
        elif index.exists():
            self._files, self.files = self._sharded(index)
        else:
            found = sorted(self.path.glob("*.safetensors"))
            if len(found) != 1:
                what = f"{len(found)} .safetensors files but no {_INDEX}" if found else "no .safetensors file"
                raise UserError(f"folder {self.path} holds {what}: give a GGUF file, a .safetensors file or a complete "
                                "Hugging Face folder")
            self._files, self.files = dict.fromkeys((file := _open(found[0])).keys(), file), found
        self._located = {name: place for path in self.files for name, place in tensors_of(path).items()}
        self.tensors = {name: _stored(file, name) for name, file in self._files.items()}

    @staticmethod
    def _sharded(index: Path) -> tuple[dict[str, Any], list[Path]]:
        """Open the shards that an index names. Returns the open file of every tensor, and the paths of all files."""
        weight_map = read_json(index, "download it again")["weight_map"]
        shard_of = weight_map.texts()
        names = sorted(set(shard_of.values()))
        if strange := next((name for name in names if Path(name).name != name or "\0" in name), None):
            weight_map.refuse(f"names {strange}, which is no file of the folder")
        shards = {}
        for name in names:
            if not (index.parent / name).is_file():
                raise UserError(f"shard {name} named by {index} is missing: download it into the same folder")
            shards[name] = _open(index.parent / name)
        held = {name: set(shard.keys()) for name, shard in shards.items()}
        for tensor, name in shard_of.items():
            if tensor not in held[name]:
                raise UserError(f"tensor {tensor} is not in {index.parent / name}, though {index.name} says so: "
                                "download both again")
        return {tensor: shards[name] for tensor, name in shard_of.items()}, [index.parent / name for name in names]

    def config(self) -> dict[str, Any]:
        """Return the folder's ``config.json``; empty for a file by itself or a folder without one.

        Raises
        ------
        UserError
            When it cannot be read.
        """
        path = self.path / "config.json"
        return read_json(path, "download it again").object() if path.exists() else {}

    def raw(self, name: str) -> Content:
        """Return a tensor of any type, to be copied as it is stored."""
        place = self._located[name]
        return Content(name, place.dtype, place.shape, place.size, lambda: copied(place))

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Read rows of a tensor of floats: float32.

        Raises
        ------
        UserError
            When the tensor holds anything but floats of 16 bits or more, or the file has changed.
        """
        shape, kind = self.tensors[name]
        if kind not in _FLOATS:
            raise UserError(f"tensor {name} in {self.path} is stored as {kind}, integers or quantised already: "
                            "give the original checkpoint in BF16, F16 or F32")
        try:
            file = self._files[name]
            part = file.get_slice(name)[rows] if shape and all(shape) else file.get_tensor(name)  # empty: no slices
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(f"tensor {name} in {self.path} cannot be read ({error}): download it again") from error
        return np.asarray(part).astype(np.float32)
