"""Safetensors files as bytes: headers are read and files are written without turning tensors into arrays.

In files that are written here the data begin on a page, and tensors whose size is a multiple of a bus word come first.
So every tensor is aligned in a mapped file.
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
    """Where a tensor is stored: its file, safetensors type, shape, first byte in the file, and size in bytes."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class Content:
    """A tensor to be written: its name, safetensors type, shape and size in bytes. ``pieces()`` yields its bytes, which
    may be more than memory holds."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    pieces: Callable[[], Iterator[bytes]]


def tensors_of(path: Path) -> tuple[dict[str, Located], dict[str, str]]:
    """Read the header of a file: its tensors by name, and its metadata.

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


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Turn a failure to write within the block, such as a full disk, into a UserError that names ``folder``."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): make room or mend it, then give the same "
                        "command again, which goes on where this one stopped") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def durable(path: Path, part: Path, pieces: Iterator[bytes]) -> None:
    """Write a file so that, after a crash at any moment, it is complete or not there.

    Parameters
    ----------
    part : Path
        Name of the file until it is complete; in the same file system as ``path``.
    pieces : iterator of bytes
        The content.

    Raises
    ------
    OSError
        When it cannot be written; ``part`` is removed then.
    """
    try:
        with part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            # The content must be on the disk before the name, or a crash could leave the name without the content.
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError:
        part.unlink(missing_ok=True)  # on a full disk, the space is wanted for what is finished
        raise


def write_file(path: Path, part: Path, content: str) -> None:
    """Write a text as :func:`durable` does."""
    durable(path, part, iter([content.encode()]))


def _alignment(tensor: Content) -> int:
    """Return the greatest power of two, up to the 64 bytes of a bus word, that divides the tensor's size.

    Tensors are written in falling order of it. The sizes of all tensors before one are then multiples of its own
    alignment, and so is its place in the file.
    """
    size = tensor.size or _PAGE
    return min(size & -size, 64)


def write_shard(path: Path, part: Path, tensors: list[Content], metadata: dict[str, str]) -> None:
    """Write a safetensors file as :func:`durable` does, with text under keys as its metadata."""
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
