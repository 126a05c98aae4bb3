"""Safetensors files as bytes: headers are read and files are written without turning tensors into arrays.

In files that are written here the data begin on a page, and tensors whose size is a multiple of a bus word come first.
So every tensor is aligned in a mapped file.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

from host.checkpoint.digests import Range
from host.checkpoint.durable import durable
from host.checkpoint.manifest import ShardEntry, TensorEntry
from host.errors import UserError
from host.json_reader import open_regular, parse_json

__all__ = ["FLOATS", "Content", "Located", "copied", "tensors_of", "write_shard"]

FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
"""Types of weights, by their names in safetensors."""

_ITEM_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4,
               "U64": 8, "I64": 8, "F64": 8}
_PAGE = 4096
_PIECE = 1 << 24  # bytes copied at a time
_CURE = "make or download it again"


@dataclass(frozen=True)
class Located:
    """Where a tensor is stored: its file, safetensors type, shape, first byte in the file, and size in bytes."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int

    @property
    def range(self) -> Range:
        """The bytes of the tensor."""
        return Range(self.path, self.start, self.size)


@dataclass(frozen=True)
class Content:
    """A tensor to be written: its name, safetensors type, shape and size in bytes. ``pieces()`` yields its bytes, which
    may be more than memory holds."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    pieces: Callable[[], Iterator[bytes]]


def _located(path: Path, size: int, length: int, content: bytes) -> dict[str, Located]:
    """Return the tensors of a header of ``length`` bytes; ``size`` is that of the file.

    Raises
    ------
    UserError
        When the header is not JSON, or a field is missing or of another type.
    ValueError
        When the file is not as long as the header says.
    """
    header = parse_json(content, f"the header of {path}", _CURE, size)
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        offsets = entry["data_offsets"].wholes(0, size)
        if len(offsets) != 2 or offsets[0] > offsets[1]:
            entry["data_offsets"].refuse("must be a first byte and the byte behind the last")
        place = Located(path, entry["dtype"].text(), tuple(entry["shape"].wholes(0)), 8 + length + offsets[0],
                        offsets[1] - offsets[0])
        if place.size != math.prod(place.shape) * _ITEM_BYTES.get(place.dtype, 0) and place.dtype in _ITEM_BYTES:
            entry["data_offsets"].refuse(f"must span {place.dtype} of shape {list(place.shape)}")
        found[name] = place
    ends = [place.start + place.size for place in found.values()]
    if size != 8 + length + sum(place.size for place in found.values()) or max(ends, default=size) != size:
        raise ValueError("its length is not what its header says")
    return found


def tensors_of(path: Path) -> dict[str, Located]:
    """Read the header of a file, and return its tensors by name.

    Raises
    ------
    UserError
        When it cannot be read, or is no complete safetensors file.
    """
    with open_regular(path, "make it readable or download it again") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                raise ValueError("its header is cut short")
            return _located(path, size, length, file.read(length))
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror}): {_CURE}") from error
        except ValueError as error:
            raise UserError(f"{path} is not a complete safetensors file ({error}): {_CURE}") from error


def copied(tensor: Located) -> Iterator[bytes]:
    """Yield the bytes of a tensor, unchanged.

    Raises
    ------
    UserError
        When the file can no longer be read.
    """
    left = tensor.size
    try:
        with tensor.path.open("rb") as file:
            file.seek(tensor.start)
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise OSError(None, "it has become shorter")
                left -= len(piece)
                yield piece
    except OSError as error:
        raise UserError(f"cannot read {tensor.path} ({error.strerror}): download it again") from error


def _alignment(tensor: Content) -> int:
    """Return the greatest power of two, up to the 64 bytes of a bus word, that divides the tensor's size.

    Tensors are written in falling order of it. The sizes of all tensors before one are then multiples of its own
    alignment, and so is its place in the file.
    """
    size = tensor.size or _PAGE
    return min(size & -size, 64)


def _counted(pieces: Iterator[bytes], hashed: "hashlib._Hash") -> Iterator[bytes]:
    """Yield pieces unchanged, and add them to a digest."""
    for piece in pieces:
        hashed.update(piece)
        yield piece


def write_shard(path: Path, part: Path, tensors: list[Content]) -> ShardEntry:
    """Write a safetensors file with :func:`host.checkpoint.durable.durable`, and return the digests of what it holds.

    Parameters
    ----------
    part : Path
        Name of the file until it is complete.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    ordered = sorted(tensors, key=lambda tensor: -_alignment(tensor))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for tensor in ordered:
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape,
                               "data_offsets": [start, start + tensor.size]}
        start += tensor.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _PAGE)
    hashed = {tensor.name: hashlib.sha256() for tensor in ordered}

    def pieces() -> Iterator[bytes]:
        yield len(text).to_bytes(8, "little") + text
        for tensor in ordered:
            yield from _counted(tensor.pieces(), hashed[tensor.name])

    digest = durable(path, part, pieces())
    return ShardEntry(digest, {tensor.name: TensorEntry(tensor.dtype, tensor.shape, hashed[tensor.name].hexdigest())
                               for tensor in ordered})
