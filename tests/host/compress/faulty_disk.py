"""A disk on which the process is killed, the power fails or the room ends at any chosen operation.

Operations are counted where Python asks the kernel for them: files that are created, written and synced, names that are
replaced and removed, folders that are made and removed. Only those below one folder count.

After a power failure, the disk holds what was synced and perhaps some of the rest: files that were written and not
synced are cut in half, and with ``names_lost`` every change to a folder since its last sync is taken back.
"""

import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Crash", "FaultyDisk"]

REAL = {name: getattr(os, name) for name in ("fsync", "replace", "unlink", "mkdir", "rmdir")}
OPEN = io.open


class Crash(BaseException):
    """The process is gone: nothing that it does afterwards reaches the disk."""


class _Written:
    """A file that is open for writing."""

    def __init__(self, disk: "FaultyDisk", file: Any) -> None:
        self._disk, self._file = disk, file

    def write(self, data: bytes) -> int:
        try:
            self._disk.operation(grows=True)
        except BaseException:
            self._file.write(data[:len(data) // 2])
            raise
        self._disk.unsynced.add(os.fstat(self._file.fileno()).st_ino)
        self._file.write(data)
        return len(data)

    def __enter__(self) -> "_Written":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class FaultyDisk:
    """The disk below ``root``, until the test ends.

    Parameters
    ----------
    stop : int, optional
        Number of the first operation that is not done. Default: all are.
    full : bool
        Whether this and all later operations that need room fail as on a full disk, in place of a crash.

    Members
    -------
    operations : int
        The operations that were asked for.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, stop: int | None = None, full: bool = False) -> None:
        self.root, self.stop, self.full, self.operations = root.resolve(), stop, full, 0
        self.unsynced: set[int] = set()
        self._undo: list[tuple[Path, Callable[[], object]]] = []
        patch.setattr(io, "open", self._open)
        for name in REAL:
            patch.setattr(os, name, getattr(self, f"_{name}"))

    def operation(self, grows: bool) -> None:
        """Count an operation, and end the process or refuse it from operation ``stop`` on."""
        self.operations += 1
        if self.stop is not None and self.operations > self.stop:
            if not self.full:
                raise Crash
            if grows:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _mine(self, path: Any) -> bool:
        return self.root in Path(os.path.abspath(path)).parents

    def _named(self, path: Any, undo: Callable[[], object]) -> None:
        """Remember how to take a change to a folder back."""
        self._undo.append((Path(os.path.abspath(path)).parent, undo))

    def _open(self, path: Any, mode: str = "r", *more: Any, **others: Any) -> Any:
        if isinstance(path, int) or not set(mode) & set("wax") or not self._mine(path):
            return OPEN(path, mode, *more, **others)
        self.operation(grows=True)
        if not os.path.exists(path):
            self._named(path, lambda: Path(path).exists() and REAL["unlink"](path))
        return _Written(self, OPEN(path, mode, *more, **others))

    def _fsync(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path == self.root or self._mine(path):
            self.operation(grows=True)
            self.unsynced.discard(os.fstat(descriptor).st_ino)
            self._undo = [(folder, undo) for folder, undo in self._undo if folder != path]

    def _replace(self, source: Any, target: Any, **more: Any) -> None:
        if self._mine(target):
            self.operation(grows=True)
            former = Path(target).read_bytes() if os.path.exists(target) else None

            def undo() -> None:
                REAL["replace"](target, source)
                if former is not None:
                    Path(target).write_bytes(former)

            self._named(target, undo)
        REAL["replace"](source, target, **more)

    def _unlink(self, path: Any, **more: Any) -> None:
        if self._mine(path):
            self.operation(grows=False)
            if os.path.exists(path):
                former = Path(path).read_bytes()
                self._named(path, lambda: Path(path).write_bytes(former))
        REAL["unlink"](path, **more)

    def _mkdir(self, path: Any, *more: Any, **others: Any) -> None:
        if self._mine(path):
            self.operation(grows=True)
            if not os.path.exists(path):
                self._named(path, lambda: shutil.rmtree(path))
        REAL["mkdir"](path, *more, **others)

    def _rmdir(self, path: Any, **more: Any) -> None:
        if self._mine(path):
            self.operation(grows=False)
            self._named(path, lambda: REAL["mkdir"](path))
        REAL["rmdir"](path, **more)

    def lose_power(self, names_lost: bool) -> None:
        """Take back what was not synced, after a crash and with the operations of the test's own again."""
        for file in self.root.rglob("*"):
            if file.is_file() and file.stat().st_ino in self.unsynced:
                os.truncate(file, file.stat().st_size // 2)
        if names_lost:
            for _, undo in reversed(self._undo):
                undo()
