"""Safetensors files as bytes: headers are read and files are written without turning tensors into arrays.

In files that are written here the data begin on a page, and tensors whose size is a multiple of a bus word come first.
So every tensor is aligned in a mapped file.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import ml_dtypes
import numpy as np

from host.checkpoint.digests import Range
from host.checkpoint.durable import durable
from host.checkpoint.manifest import ShardEntry, TensorEntry
from host.checkpoint.stacks import DIMS
from host.errors import UserError
from host.json_reader import Json, parse_json
from host.regular_file import open_regular, read_range

__all__ = ["FLOATS", "Content", "Located", "copied", "flattened", "floats", "tensors_of", "write_shard"]

FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
"""Types of weights, by their names in safetensors."""

_ITEM_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8,
              "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32,
              "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64}
"""Bits of an element, by type: ``Dtype`` in safetensors/src/tensor.rs of https://github.com/huggingface/safetensors."""
_LONGEST = 1 << 40  # of a dimension: NumPy fails far beyond it, even where another dimension is zero
_PAGE = 4096
_PIECE = 1 << 24  # bytes copied at a time
_CURE = "make or download it again"


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Content:
    """A tensor to be written: its name, safetensors type, shape and size in bytes. ``pieces()`` yields its bytes, which
    may be more than memory holds."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    pieces: Callable[[], Iterator[bytes]]


def _place(path: Path, entry: Json, start: int) -> Located:
    """Return what a header says of one tensor.

    Parameters
    ----------
    start : int
        Where the data begin in the file.

    Raises
    ------
    UserError
        When a field is missing, of another type, or contradicts the others.
    """
    offsets, dtype, shape = entry["data_offsets"].wholes(0), entry["dtype"].text(), entry["shape"].wholes(0)
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        entry["data_offsets"].refuse("must be a first byte and the byte behind the last")
    if len(shape) > DIMS or max(shape, default=0) > _LONGEST:
        entry["shape"].refuse(f"must be at most {DIMS} numbers up to {_LONGEST}")
    bits = _ITEM_BITS.get(dtype)
    if bits is None:
        entry["dtype"].refuse(f"must be a type of safetensors, not {dtype}")
    if 8 * (offsets[1] - offsets[0]) != math.prod(shape) * bits:
        entry["data_offsets"].refuse(f"must span {dtype} of shape {shape}")
    return Located(path, dtype, tuple(shape), start + offsets[0], offsets[1] - offsets[0])


def _located(path: Path, size: int, length: int, content: bytes) -> dict[str, Located]:
    """Return the tensors of a header of ``length`` bytes; ``size`` is that of the file.

    Raises
    ------
    UserError
        When the header is not JSON, or a field is missing, of another type, or contradicts others.
    ValueError
        When the tensors are not one behind the other up to the end of the file.
    """
    header = parse_json(content, f"the header of {path}", _CURE, size)
    found = {name: _place(path, entry, 8 + length) for name, entry in header.items() if name != "__metadata__"}
    end = 8 + length
    for start, taken, name in sorted((place.start, place.size, name) for name, place in found.items()):
        if start != end:
            raise ValueError(f"tensor {name} does not begin where the one before it ends")
        end += taken
    if end != size:
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
    for start in range(0, tensor.size, _PIECE):
        yield read_range(tensor.path, tensor.start + start, min(tensor.size - start, _PIECE), _CURE)


def flattened(tensor: Located) -> Located:
    """Return a tensor of two or more dimensions as the matrix that has all its rows one below another."""
    return replace(tensor, shape=(math.prod(tensor.shape[:-1]), tensor.shape[-1]))


def floats(tensor: Located, rows: slice) -> np.ndarray:
    """Return a tensor whose type is one of :data:`FLOATS`, or rows of it, which a scalar does not have: float32.

    Raises
    ------
    UserError
        When the file can no longer be read.
    """
    places = range(*rows.indices(tensor.shape[0])) if tensor.shape else range(1)
    shape = (len(places), *tensor.shape[1:])
    if not math.prod(shape):
        return np.zeros(shape, np.float32)
    start, row = min(places), tensor.size // (tensor.shape[0] if tensor.shape else 1)
    content = read_range(tensor.path, tensor.start + start * row, (max(places) + 1 - start) * row, _CURE)
    values = np.frombuffer(content, FLOATS[tensor.dtype]).reshape(-1, *tensor.shape[1:])[::abs(places.step)]
    return values[::-1 if places.step < 0 else 1].astype(np.float32).reshape(shape if tensor.shape else ())


def _alignment(tensor: Content) -> int:
    """Return the greatest power of two, up to the 64 bytes of a bus word, that divides the tensor's size.

    Tensors are written in falling order of it. The sizes of all tensors before one are then multiples of its own
    alignment, and so is its place in the file.
    """
    size = tensor.size or _PAGE
    return min(size & -size, 64)


def _counted(tensor: Content, hashed: "hashlib._Hash") -> Iterator[bytes]:
    """Yield the pieces of a tensor unchanged, and add them to a digest.

    Raises
    ------
    UserError
        When they are more or fewer bytes than was said before, so that no file is longer than planned.
    """
    left = tensor.size
    for piece in tensor.pieces():
        left -= len(piece)
        if left < 0:
            break
        hashed.update(piece)
        yield piece
    if left:
        raise UserError(f"tensor {tensor.name} has not the {tensor.size} bytes that its file's header says: {_CURE}")


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
            yield from _counted(tensor, hashed[tensor.name])

    digest = durable(path, part, pieces())
    return ShardEntry(digest, {tensor.name: TensorEntry(tensor.dtype, tensor.shape, hashed[tensor.name].hexdigest())
                               for tensor in ordered})
