"""Safetensors files as bytes: headers read and files written without turning tensors into arrays.

Files written here start their data on a page and hold their largest elements first, so that every tensor is aligned
in a mapped file.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from host.errors import UserError

__all__ = ["Content", "Located", "copied", "durable", "storing", "sync_folder", "tensors_of", "write_file",
           "write_shard"]

_PAGE = 4096
_PIECE = 1 << 24  # bytes copied at a time


@dataclass(frozen=True)
class Located:
    """Where a tensor is: file, safetensors type, shape, and first byte and size in the file."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class Content:
    """A tensor to be written: name, safetensors type, shape, size in bytes, and its bytes piece by piece."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    pieces: Callable[[], Iterator[bytes]]


def tensors_of(path: Path) -> tuple[dict[str, Located], dict[str, str]]:
    """The tensors of a file and its metadata.

    Raises
    ------
    UserError
        When it is no complete safetensors file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("its header is cut short")
            header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        found = {name: Located(path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0],
                               entry["data_offsets"][1] - entry["data_offsets"][0]) for name, entry in header.items()}
        if path.stat().st_size != 8 + length + sum(tensor.size for tensor in found.values()):
            raise ValueError("its length is not what its header says")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{path} is not a complete safetensors file ({error}): make or download it again") from error
    return found, metadata


def copied(tensor: Located) -> Iterator[bytes]:
    """The bytes of a tensor, unchanged.

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


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Turns a failure to write, such as a full disk, into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): make room or mend it, then give the same "
                        "command again, which goes on where this one stopped") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def durable(path: Path, part: Path, pieces: Iterator[bytes]) -> None:
    """Write a file so that after a crash at any moment it is complete or not there; ``part`` is its name until then."""
    try:
        with part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError:
        part.unlink(missing_ok=True)  # on a full disk, the space is wanted for what is finished
        raise


def write_file(path: Path, part: Path, content: str) -> None:
    """As :func:`durable`, for a text."""
    durable(path, part, iter([content.encode()]))


def _alignment(tensor: Content) -> int:
    """Greatest power of two that divides the tensor's size, up to a bus word; all before it are multiples of it."""
    size = tensor.size or _PAGE
    return min(size & -size, 64)


def write_shard(path: Path, part: Path, tensors: list[Content], metadata: dict[str, str]) -> None:
    """Write a safetensors file, as :func:`durable` does."""
    ordered = sorted(tensors, key=lambda tensor: -_alignment(tensor))
    header: dict[str, object] = {"__metadata__": metadata}
    start = 0
    for tensor in ordered:
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape,
                               "data_offsets": [start, start + tensor.size]}
        start += tensor.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _PAGE)

    def pieces() -> Iterator[bytes]:
        yield len(text).to_bytes(8, "little") + text
        for tensor in ordered:
            yield from tensor.pieces()

    durable(path, part, pieces())
