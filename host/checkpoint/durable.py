"""Files that are written so that a crash or a full disk at any moment leaves a complete file or none."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from golden.products import put, sync
from host.checkpoint.digests import FileDigest
from host.errors import UserError, cure_of_writing
from host.regular_file import read_range

__all__ = ["contents", "durable", "place_below", "storing"]

_PIECE = 1 << 24  # bytes copied at a time


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Turn a failure to write within the block, such as a full disk, into a UserError that names ``folder``."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): {cure_of_writing(error)}, then give the "
                        "same command again, which goes on where this one stopped") from error


def contents(path: Path, size: int) -> Iterator[bytes]:
    """Yield the bytes of a file, some at a time.

    Parameters
    ----------
    size : int
        What the size of the file was when the work was planned.

    Raises
    ------
    UserError
        When it cannot be read or has become shorter, so that a block under :func:`storing` does not blame the folder
        that is written to. What was added to a file meanwhile is left out.
    """
    for start in range(0, size, _PIECE):
        yield read_range(path, start, min(size - start, _PIECE), "make it readable or download it again")


def place_below(folder: Path, name: str) -> Path:
    """Return the path of a file in a folder or below it, where the folders that it lies in have been made.

    Parameters
    ----------
    name : str
        Path of the file from the folder, with ``/`` between folders.

    Raises
    ------
    OSError
        When a folder cannot be made.
    """
    path = folder
    *between, file = name.split("/")
    for part in between:
        path /= part
        if not path.is_dir():
            path.mkdir()
            sync(path.parent)
    return path / file


def durable(path: Path, part: Path, pieces: Iterable[bytes]) -> FileDigest:
    """Write a file so that, after a crash at any moment, it is complete or not there, and return its digest.

    Parameters
    ----------
    part : Path
        Name of the file until it is complete; in the same file system as ``path``.
    pieces : iterable of bytes
        The content.

    Raises
    ------
    OSError
        When it cannot be written; ``part`` is removed then, and after any other exception.
    """
    hashed, size = hashlib.sha256(), 0
    try:
        with part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                hashed.update(piece)
                size += len(piece)
        put(part, path)
    except BaseException:
        part.unlink(missing_ok=True)  # on a full disk, the space is wanted for what is finished
        raise
    return FileDigest(size, hashed.hexdigest())
