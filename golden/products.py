"""What is built once and found again: simulators, kernels, netlists, compressed matrices, points of a sweep.

A product is a folder, or a file. A kill of the program or a loss of power leaves it whole, or not there: everything is
on the disk before a product counts as made. What was made is compared with its digests each time that it is found. A
product that is empty, cut, lost in part or somebody else's is removed with a notice, and is made once more. Two
processes that want the same product make it once: the second one waits.
"""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FolderProduct", "file_product", "locked", "put", "read_sealed", "sync", "write_sealed"]

_DONE, _LOCK = ".done", ".lock"
"""Names in a product's folder: the digests of its files, which are there once it is made, and its lock."""
_RUNS = "run-"
"""What begins so in a product's folder belongs to those who use it."""
_SEAL = 65
"""Bytes that end a sealed file: a new line, and the SHA-256 of all before it as text. Libraries and archives that end
so are loaded all the same."""


def sync(path: Path) -> None:
    """Put the content of a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(part: Path, path: Path) -> None:
    """Give a file that is complete its name, in the same file system, so that it outlives a loss of power.

    The content is on the disk before the name, or a crash could leave the name without the content.
    """
    sync(part)
    part.replace(path)
    sync(path.parent)


@contextmanager
def locked(lock: Path, waiting: str = "") -> Iterator[None]:
    """Hold a lock file for one process at a time. The kernel gives it up however the process ends.

    Parameters
    ----------
    waiting : str
        What to say on stderr when another process holds it.

    Raises
    ------
    OSError
        When there is no such folder, or it cannot be written.
    """
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if waiting else 0))
        except BlockingIOError:
            print(f"notice: {waiting}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tell(path: Path) -> None:
    """Say that a product is made once more."""
    print(f"notice: {path} was damaged: it is removed and made once more", file=sys.stderr, flush=True)


def _remove(path: Path) -> None:
    """Remove a file, or a folder with all that it holds."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file with a seal, so that it is there as a whole or not at all.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.is_dir():
            _remove(path)
        part.write_bytes(content + b"\n" + hashlib.sha256(content).hexdigest().encode())
        put(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_sealed(path: Path) -> bytes | None:
    """Return the content of a sealed file; None when it is not there, or not as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    content, seal = content[:-_SEAL], content[-_SEAL:]
    return content if seal == b"\n" + hashlib.sha256(content).hexdigest().encode() else None


def file_product(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the content of a sealed file, which is made first if need be.

    Parameters
    ----------
    path : Path
        The file, in a folder that exists.
    make : callable
        Makes the content.

    Raises
    ------
    OSError
        When the folder cannot be written, and whatever ``make`` raises.
    """
    content = read_sealed(path)
    if content is None:
        with locked(path.with_name(f".{path.name}.lock")):
            content = read_sealed(path)  # another process may have made it meanwhile
            if content is None:
                if os.path.lexists(path):
                    _tell(path)
                content = make()
                write_sealed(path, content)
    return content


@dataclass(frozen=True)
class FolderProduct:
    """A product that is a folder.

    Parameters
    ----------
    folder : Path
        It is created.
    outputs : tuple of str
        Patterns of the files in it that are wanted later. Everything else in it may be lost.
    programs : bool
        Whether these are executed.
    """

    folder: Path
    outputs: tuple[str, ...]
    programs: bool = False

    def _found(self) -> dict[str, str]:
        """Digests of the outputs, by name."""
        return {path.name: _digest(path) for pattern in self.outputs for path in self.folder.glob(pattern)
                if path.is_file()}

    def is_made(self) -> bool:
        """Whether the outputs are there as they were made."""
        try:
            lines = (self.folder / _DONE).read_text().splitlines()
            wanted = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
            return bool(wanted) and all(
                _digest(self.folder / name) == digest and (not self.programs or os.access(self.folder / name, os.X_OK))
                for name, digest in wanted.items())
        except (OSError, ValueError):
            return False

    def provide(self, make: Callable[[], object]) -> None:
        """Make the product unless it is there.

        Parameters
        ----------
        make : callable
            Fills the folder, which is empty then.

        Raises
        ------
        OSError
            When the folder cannot be written, and whatever ``make`` raises.
        """
        if self.folder.is_symlink() or not self.folder.is_dir():
            _remove(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / _LOCK):
            if self.is_made():
                return
            if os.path.lexists(self.folder / _DONE):
                _tell(self.folder)
            self._clear()
            make()
            self._seal()

    def discard(self) -> None:
        """Have the product made once more: its outputs are as they were made, and yet of no use on this machine."""
        with locked(self.folder / _LOCK):
            _tell(self.folder)
            self._clear()

    def _clear(self) -> None:
        """Remove what is in the folder, the digests first."""
        _remove(self.folder / _DONE)
        for path in self.folder.iterdir():
            if path.name != _LOCK and not path.name.startswith(_RUNS):
                _remove(path)

    def _seal(self) -> None:
        """Put the outputs on the disk, and then their digests."""
        found = self._found()
        for name in found:
            sync(self.folder / name)
        sync(self.folder)
        part = self.folder / f"{_DONE}.part"
        part.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(found.items())))
        put(part, self.folder / _DONE)
