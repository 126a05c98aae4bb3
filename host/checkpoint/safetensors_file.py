"""Weights of safetensors files: a single file, or a Hugging Face folder of one file or several."""

import os
import re
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from host.checkpoint.refusals import refuse_without_weights
from host.checkpoint.shard_names import PLAIN_INDEX
from host.checkpoint.shards import FLOATS, Content, Located, copied, flattened, floats, tensors_of
from host.errors import UserError
from host.json_reader import read_json

__all__ = ["SafetensorsFiles"]

_SINGLE = "model.safetensors"
_PART = re.compile(r"-[0-9]{5}-of-([0-9]{5})\.safetensors$")


class SafetensorsFiles:
    """A ``.safetensors`` file, or a folder of them.

    Of a folder, transformers' choice is taken (``_get_resolved_checkpoint_files`` in
    src/transformers/modeling_utils.py): ``model.safetensors``; or, where there is none, the files that the index names.
    Without both, it is the only file.

    ``tensors`` maps names to (shape, storage type), and ``files`` are all files that hold tensors.

    Raises
    ------
    UserError
        When a file is missing or incomplete, or the index is unusable or disagrees with the files.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        index = self.path / PLAIN_INDEX
        shard_of: dict[str, str] = {}
        if self.path.is_file():
            self.files = [self.path]
        elif (self.path / _SINGLE).exists():
            self.files = [self.path / _SINGLE]
        elif index.exists():
            shard_of = self._indexed(index)
            self.files = [self.path / name for name in sorted(set(shard_of.values()))]
        else:
            self.files = sorted(self.path.glob("*.safetensors"))
            if not self.files or self.files[0].name.startswith("adapter_"):
                refuse_without_weights(self.path)
            if len(self.files) > 1:
                raise UserError(f"folder {self.path} holds {len(self.files)} .safetensors files but no {PLAIN_INDEX}: "
                                "give a complete Hugging Face folder, or one of the files")
            if (part := _PART.search(self.files[0].name)) and int(part[1]) > 1:
                raise UserError(f"folder {self.path} holds {self.files[0].name}, one of {int(part[1])} shards, and no "
                                f"{PLAIN_INDEX}: download the whole model, or give the file")
        self._places = self._located(shard_of)
        self.tensors = {name: (place.shape, place.dtype) for name, place in self._places.items()}

    @staticmethod
    def _indexed(index: Path) -> dict[str, str]:
        """Return the shard of every tensor in an index. UserError when one is missing or is no file of the folder."""
        weight_map = read_json(index, "download it again")["weight_map"]
        shard_of = weight_map.texts()
        for name in sorted(set(shard_of.values())):
            if Path(name).name != name or "\0" in name:
                weight_map.refuse(f"names {name}, which is no file of the folder")
            if not os.path.isfile(index.parent / name):
                raise UserError(f"shard {name} named by {index} is missing: download it into the same folder")
        return shard_of

    def _located(self, shard_of: dict[str, str]) -> dict[str, Located]:
        """Return where the tensors of all files are, those of the index first and in its order.

        Raises
        ------
        UserError
            When a file is not complete, a tensor is not where the index says, or is in two files.
        """
        places: dict[str, Located] = {}
        for path in self.files:
            for name, place in tensors_of(path).items():
                if name in places:
                    raise UserError(f"tensor {name} is both in {places[name].path} and in {path}: download the model "
                                    "again")
                places[name] = place
        for name, shard in shard_of.items():
            if name not in places or places[name].path.name != shard:
                raise UserError(f"tensor {name} is not in {self.path / shard}, though {PLAIN_INDEX} says so: download "
                                "both again")
        return {name: places[name] for name in (*shard_of, *places)}

    def config(self) -> dict[str, Any]:
        """Return the folder's ``config.json``; empty for a file by itself or a folder without one.

        Raises
        ------
        UserError
            When it cannot be read.
        """
        path = self.path / "config.json"
        return read_json(path, "download it again").object() if path.exists() else {}

    def raw_size(self, name: str) -> int:
        """Return the size of a tensor in bytes as :meth:`raw` gives it."""
        return self._places[name].size

    def raw(self, name: str) -> Content:
        """Return a tensor of any type, to be copied as it is stored."""
        place = self._places[name]
        return Content(name, place.dtype, place.shape, place.size, lambda: copied(place))

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Read rows of a tensor of floats: float32.

        Raises
        ------
        UserError
            When the tensor holds anything but floats of 16 bits or more, or the file can no longer be read.
        """
        return floats(self._float_place(name), rows)

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Read rows of a tensor of two or more dimensions, with the rows of a stack one below another: float32.

        UserError as :meth:`read`.
        """
        return floats(flattened(self._float_place(name)), slice(start, stop))

    def _float_place(self, name: str) -> Located:
        """Return where a tensor of floats is stored. UserError as :meth:`read`."""
        place = self._places[name]
        if place.dtype not in FLOATS:
            raise UserError(f"tensor {name} in {self.path} is stored as {place.dtype}, integers or quantised already: "
                            "give the original checkpoint in BF16, F16 or F32")
        return place
