"""SHA-256 digests of files and of parts of files, computed by threads."""

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from host.errors import UserError
from host.update import Update, no_progress

__all__ = ["FileDigest", "Range", "Stamp", "content_digest", "digests", "whole"]

_PIECE = 1 << 20  # bytes read at a time
_CHUNK = 1 << 26  # bytes of a file that one thread hashes for a content digest
_SHOWN = 0.2  # seconds between two calls of a progress function


@dataclass(frozen=True)
class FileDigest:
    """What tells a file from a damaged one: its number of bytes, and their SHA-256 in hexadecimal digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Stamp:
    """What tells without reading a file that it was written: its size, and the time of its last change. The number of
    the file is left out, because some network file systems make up another one at any time."""

    path: Path
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Return the stamp of a file. UserError when there is none, or it is a folder or a pipe."""
        try:
            found = path.stat()
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror}): make it readable or download it again") from error
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"cannot read {path} (a folder, a device, a socket or a pipe, not a file): remove it")
        return cls(path, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Range:
    """A part of a file: the first byte and the number of bytes."""

    path: Path
    start: int
    size: int


def whole(path: Path) -> Range:
    """Return the range of all bytes of a file. UserError when there is none."""
    return Range(path, 0, Stamp.of(path).size)


class _Hashing:
    """The work of :func:`digests` that its threads share.

    ``done`` holds for each range the bytes that were hashed. ``stopped`` tells the threads to end early.
    """

    def __init__(self, ranges: Sequence[Range]) -> None:
        self.ranges, self.done, self.stopped = ranges, [0] * len(ranges), Event()

    def digest(self, number: int) -> str:
        """Return the digest of one range; a wrong one after ``stopped``."""
        part, hashed, buffer = self.ranges[number], hashlib.sha256(), memoryview(bytearray(_PIECE))
        try:
            with part.path.open("rb", buffering=0) as file:
                file.seek(part.start)
                while self.done[number] < part.size and not self.stopped.is_set():
                    got = file.readinto(buffer[:min(part.size - self.done[number], _PIECE)])
                    if not got:
                        raise OSError(None, "it has become shorter")
                    hashed.update(buffer[:got])
                    self.done[number] += got
        except OSError as error:
            raise UserError(f"cannot read {part.path} ({error.strerror}): make it readable or download it "
                            "again") from error
        return hashed.hexdigest()


def digests(ranges: Sequence[Range], reading: Update = no_progress) -> list[str]:
    """Return the SHA-256 of every range, hexadecimal.

    Parameters
    ----------
    reading : Update
        Called in the caller's thread with the name of a file at hand, the number of bytes hashed, and that of all.

    Raises
    ------
    UserError
        When a file cannot be read or is too short.
    """
    work, total = _Hashing(ranges), sum(part.size for part in ranges)
    if total <= _PIECE:  # threads would cost more than they save
        return [work.digest(number) for number in range(len(ranges))]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        futures = [threads.submit(work.digest, number) for number in range(len(ranges))]
        try:
            pending = set(futures)
            while pending:
                at_hand = next((part for part, done in zip(ranges, work.done, strict=True) if done < part.size),
                               ranges[-1])
                reading(at_hand.path.name, sum(work.done), total)
                ended, pending = wait(pending, _SHOWN)
                for future in ended:
                    future.result()  # raises what the thread raised
            reading(ranges[-1].path.name, total, total)
            return [future.result() for future in futures]
        finally:
            # Threads that still read, after an exception or Ctrl-C, end at their next piece.
            work.stopped.set()
            for future in futures:
                future.cancel()


def content_digest(paths: Iterable[Path], reading: Update = no_progress) -> str:
    """Return one digest of the names and of all bytes of some files, hexadecimal.

    It is the SHA-256 of a text with the name, the size and the SHA-256 of every 64 MiB of each file, so that several
    threads can work on one large file.

    Parameters
    ----------
    reading : Update
        As for :func:`digests`.

    Raises
    ------
    UserError
        When a file cannot be read.
    """
    files = [whole(path) for path in paths]
    ranges = [Range(file.path, start, min(_CHUNK, file.size - start)) for file in files
              for start in range(0, file.size, _CHUNK)]
    found = zip(ranges, digests(ranges, reading), strict=True)
    lines = [f"{file.path.name!r} {file.size}" for file in files]
    lines += [f"{part.path.name!r} {part.start} {part.size} {digest}" for part, digest in found]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
