"""The journal of a compression or decompression: what is finished, kept in ``.parts`` of the output folder.

``.parts/job`` says what all slices depend on. A finished slice is one file there until its shard is written, and every
finished shard has a record there, with its digest, until the whole folder is finished. Each of these files begins with
the digest of what follows, and says which work it belongs to. What does not have its digest was damaged and is made
anew.

Every file appears whole or not at all, even when the machine loses power. A run that ends in any way therefore loses at
most what it was working on. The order of writes makes every interruption harmless. A slice is stored before it counts
as done. A shard is stored before its record, and its slices are removed after that, so that none is missing from both.
The file that makes an output folder complete is written when everything else is there, and the journal is removed last
of all.

A run may go on with the slices of one that compressed other tensors, or laid them out in other shards. A finished shard
that is none of the new run's is then turned back into its slices, which its record describes, and removed.

A lock on ``.parts/lock`` keeps two runs from working in one folder. The kernel gives it up however a process ends.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from golden.products import sync
from host.checkpoint.digests import digests, whole
from host.checkpoint.durable import durable, storing
from host.checkpoint.manifest import CompressedTensor, ShardEntry, compressed_tensor, shard_entry
from host.checkpoint.shards import tensors_of
from host.checkpoint.unfinished import JOB, PARTS
from host.compress.plan import Slice
from host.compress.slices import Encoded
from host.errors import UserError
from host.json_reader import Json, parse_json
from host.regular_file import open_regular, read_range
from host.update import Update, no_progress

__all__ = ["Finished", "Job", "Journal", "Kept", "require_output", "require_room"]

_LOCK, _RECORD = "lock", ".shard"


@dataclass(frozen=True)
class Job:
    """What a journal belongs to.

    Members
    -------
    work : str
        Digest of all that the result depends on, except the program.
    program : str
        Digest of the program that does the work. The two are told apart for the sake of the message.
    """

    work: str
    program: str

    def head(self, **more: object) -> bytes:
        """Return a line of JSON with the job and other fields."""
        return json.dumps({"work": self.work, "program": self.program, **more}).encode() + b"\n"


@dataclass(frozen=True)
class Kept:
    """A slice in a finished shard: the name of its tensor in the shard, its first byte in the tensor, and what it is
    without its stream."""

    tensor: str
    at: int
    encoded: Encoded


@dataclass(frozen=True)
class Finished:
    """A finished shard: its digests, what the compressed tensors in it mean, by their original names, and the slices
    that they were made of, by the names of their files."""

    entry: ShardEntry
    tensors: dict[str, CompressedTensor] = field(default_factory=dict)
    slices: dict[str, Kept] = field(default_factory=dict)


def require_output(folder: Path, begun: Callable[[], bool] = lambda: False) -> None:
    """Refuse an output folder before any work is done, as far as its sight tells what :class:`Journal` would refuse.

    Parameters
    ----------
    folder, begun
        As for :class:`Journal`.

    Raises
    ------
    UserError
        When the folder holds something else, or this user may not write to it or make it.
    """
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if os.path.exists(parent))
    if not there.is_dir():
        raise UserError(f"output folder {folder} cannot be made, as {there} is a file: give another")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {folder}: make {there} writable for this user, or give another folder")
    with storing(folder):
        if folder.exists():
            _require_free(folder, begun)


def _require_free(folder: Path, begun: Callable[[], bool]) -> None:
    """Refuse a folder that holds something and no journal. UserError.

    In this order: another run that is at work has a journal before it has anything else, and a result before its
    journal is gone.
    """
    if any(folder.iterdir()) and not (folder / PARTS).exists() and not begun():
        raise _occupied(folder)


def _occupied(folder: Path) -> UserError:
    return UserError(f"output folder {folder} holds something else: give a new or empty folder, or remove it first")


def require_room(folder: Path, output: int, beside: int = 0) -> None:
    """Refuse work whose result does not fit the disk.

    Parameters
    ----------
    output : int
        Bytes of the result.
    beside : int
        Bytes that are needed beside it while the work is going on.

    Raises
    ------
    UserError
    """
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    kept = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    need, free = output + beside - kept, shutil.disk_usage(there).free
    if need > free:
        raise UserError(f"{folder} needs {need / 1e9:.1f} GB, and its disk has {free / 1e9:.1f} GB left: make room, or "
                        "write to another disk")


def _sealed(content: bytes) -> bytes:
    """Return the content of a file of the journal: a line with the digest of what follows it."""
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _opened(path: Path) -> tuple[Json, bytes]:
    """Return the line of JSON of a file of the journal, and all that follows it.

    Raises
    ------
    UserError
        When the file is damaged or cannot be read.
    """
    with open_regular(path, "make it readable") as file:
        try:
            digest, _, content = file.read().partition(b"\n")
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror}): make it readable") from error
    if digest != hashlib.sha256(content).hexdigest().encode():
        raise UserError(f"{path} does not have the digest that it gives: remove it")
    line, _, rest = content.partition(b"\n")
    return parse_json(line, path, "remove it"), rest


class Journal:
    """The journal of a job in ``folder``, begun or continued. It is locked until :meth:`close`.

    Parameters
    ----------
    folder : Path
        The output folder: one that does not exist, is empty, or holds an unfinished run of the same job.
    begun : callable
        Returns whether a folder without a journal holds a result of this job, so that a journal may be added.

    Members
    -------
    folder, parts : Path
        The output folder and, inside it, the folder of the journal.

    Raises
    ------
    UserError
        When the folder holds anything else, cannot be written, or another run is at work in it.
    """

    def __init__(self, folder: Path, job: Job, begun: Callable[[], bool] = lambda: False) -> None:
        self.folder, self.parts, self.job, self._begun = folder, folder / PARTS, job, begun
        with storing(folder):
            self._lock = self._locked()
        try:
            self._require_own()
        except BaseException:
            try:
                self._remove_empty()
            finally:
                self._lock.close()
            raise

    def _locked(self) -> BinaryIO:
        """Make the folder of the journal, and lock it.

        Another run may be complete and remove the journal after this one has opened the lock. Then the lock is that of
        a file without a name, and this run begins again.
        """
        path = self.parts / _LOCK
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            _require_free(self.folder, self._begun)
            try:
                self.parts.mkdir(exist_ok=True)
                lock = path.open("ab")
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                    sync(self.folder)
                    sync(self.folder.absolute().parent)
                    return lock
            except BlockingIOError:
                lock.close()
                raise UserError(f"another run is writing to {self.folder}: wait for it, or stop it") from None
            except FileNotFoundError:
                pass
            except BaseException:
                lock.close()
                raise
            lock.close()

    def _require_own(self) -> None:
        """Refuse a journal that belongs to another job or another program, and write ``job`` where it is missing.

        Where ``job`` is damaged or missing, the other files of the journal tell whose it is. A folder that holds
        anything but an empty journal, and no ``job`` at all, is not this program's.

        Raises
        ------
        UserError
        """
        path, known = self.parts / JOB, False
        for file in (path, *sorted(self.parts.iterdir())):
            try:
                head, _ = _opened(file)
                work, program = head["work"].text(), head["program"].text()
            except UserError:
                continue
            if work != self.job.work:
                raise UserError(f"output folder {self.folder} holds an unfinished run with another model or other "
                                "options: give the same ones to go on with it, or remove it to begin anew")
            if program != self.job.program:
                raise UserError(f"output folder {self.folder} holds an unfinished run of another version of the "
                                "program: remove it to begin anew")
            known = True
            if file == path:
                return
        others = [entry for entry in self.folder.iterdir() if entry.name != PARTS]
        if others and not (known or path.exists() or self._begun()):
            raise _occupied(self.folder)
        with storing(self.folder):
            durable(path, self.part(JOB), [_sealed(self.job.head())])

    def part(self, name: str) -> Path:
        """Return the name of a file, of the journal or of the output folder, until it is complete."""
        return self.parts / f"{name}.part"

    def _head(self, name: str) -> tuple[Json, bytes] | None:
        """Return the line of JSON of a file of this journal and what follows it, or None when there is no such file or
        it is damaged."""
        try:
            head, rest = _opened(self.parts / name)
            own = (head["work"].text(), head["program"].text(), head["name"].text())
        except UserError:
            return None
        return (head, rest) if own == (self.job.work, self.job.program, name) else None

    def load(self, part: Slice, size: int) -> Encoded | None:
        """Return a finished slice whose stream has ``size`` bytes, or None when it is not there or is damaged: it is
        then encoded again."""
        found = self._head(part.name)
        try:
            return Encoded.from_fields(*found) if found and len(found[1]) == size else None
        except UserError:
            return None

    def required(self, part: Slice, size: int) -> Encoded:
        """Return a finished slice. UserError when it is not there or is damaged."""
        found = self.load(part, size)
        if found is None:
            raise UserError(f"slice {part.name} in {self.parts} is gone or damaged: give the same command again, which "
                            "makes it anew")
        return found

    def store(self, part: Slice, encoded: Encoded) -> None:
        """Keep a finished slice.

        Raises
        ------
        UserError
            When the disk is full or the folder cannot be written.
        """
        content = self.job.head(name=part.name, **encoded.fields()) + encoded.stream
        with storing(self.folder):
            durable(self.parts / part.name, self.part(part.name), [_sealed(content)])

    def recorded(self) -> list[str]:
        """Return the names of the shards that there are records of, whatever these hold, in order."""
        return sorted(path.name.removesuffix(_RECORD) for path in self.parts.glob(f"*{_RECORD}"))

    def finished(self, names: Iterable[str], reading: Update = no_progress) -> dict[str, Finished]:
        """Return the records of those of the shards that are finished and are as they were written.

        Parameters
        ----------
        names : iterable of str
            File names of shards.
        reading : Update
            As for :func:`host.checkpoint.digests.digests`.

        Raises
        ------
        UserError
            When a shard cannot be read.
        """
        records = {}
        for name in names:
            found = self._head(name + _RECORD)
            if found and (self.folder / name).is_file():
                with suppress(UserError):  # a record that has its digest and no sense counts as none
                    tensors = {tensor: compressed_tensor(fields) for tensor, fields in found[0]["tensors"].items()}
                    slices = {part: Kept(kept["tensor"].text(), kept["at"].whole(0), Encoded.from_fields(kept, b""))
                              for part, kept in found[0]["slices"].items()}
                    records[name] = Finished(shard_entry(found[0]["shard"]), tensors, slices)
        hashed = digests([whole(self.folder / name) for name in records], reading)
        return {name: record for (name, record), sha256 in zip(records.items(), hashed, strict=True)
                if record.entry.digest.sha256 == sha256}

    def finish(self, name: str, finished: Finished, parts: tuple[Slice, ...] = ()) -> None:
        """Record that a shard is finished, and remove its slices. UserError when the folder cannot be written."""
        head = self.job.head(name=name + _RECORD, shard=finished.entry.fields(),
                             tensors={name: asdict(tensor) for name, tensor in finished.tensors.items()},
                             slices={name: {"tensor": kept.tensor, "at": kept.at, **kept.encoded.fields()}
                                     for name, kept in finished.slices.items()})
        with storing(self.folder):
            durable(self.parts / (name + _RECORD), self.part(name), [_sealed(head)])
            self.forget(parts)

    def dissolve(self, name: str, finished: Finished, wanted: dict[str, tuple[Slice, int]]) -> None:
        """Turn a shard that :meth:`finished` returned back into those of its slices that are wanted, and remove it.

        Parameters
        ----------
        wanted : dict
            Slices and the bytes of their streams, by the names of the slices' files.

        Raises
        ------
        UserError
            When the folder cannot be read or written.
        """
        path = self.folder / name
        held = tensors_of(path)
        for part, size, kept in ((*wanted[file], kept) for file, kept in finished.slices.items() if file in wanted):
            place = held.get(kept.tensor)
            if place is None or kept.at + size > place.size:
                continue  # a record that has its digest and no sense
            stream = read_range(path, place.start + kept.at, size, "give the same command again")
            self.store(part, replace(kept.encoded, stream=stream))
        # In this order: a shard without a record is written anew, and a record without a shard counts for nothing.
        with storing(self.folder):
            (self.parts / (name + _RECORD)).unlink()
            path.unlink()

    def forget(self, parts: tuple[Slice, ...]) -> None:
        """Remove slices whose shard is written. UserError when the folder cannot be written."""
        with storing(self.folder):
            for part in parts:
                (self.parts / part.name).unlink(missing_ok=True)

    def _remove_empty(self) -> None:
        """Remove the lock and the folder of the journal, where it holds nothing else."""
        with suppress(OSError):  # what cannot be removed does no harm; or another run has just opened a lock there
            if [file.name for file in self.parts.iterdir()] == [_LOCK]:
                (self.parts / _LOCK).unlink()
                self.parts.rmdir()
                sync(self.folder)

    def close(self, done: bool) -> None:
        """Release the lock, and remove the journal when everything is done.

        Raises
        ------
        UserError
            When it cannot be removed. Then ``job`` is still there, and the same command can be given again.
        """
        try:
            if done:
                with storing(self.folder):
                    sync(self.folder)
                    files = [file for file in self.parts.iterdir() if file.name != _LOCK]
                    # What says whose journal this is goes last, so that a rest of it can still be told.
                    for file in sorted(files, key=lambda file: file.name == JOB):
                        file.unlink()
                self._remove_empty()
        finally:
            self._lock.close()
