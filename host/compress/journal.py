"""The journal of a compression: finished slices, kept in ``.parts`` of the output folder until their shard is written.

Every slice is one file, which appears whole or not at all, even when the machine loses power. A run that ends in any
way therefore loses at most the slices that it was working on. ``job.json`` says what the slices belong to, and is
locked while a run is alive.

The order of writes makes every interruption harmless. A slice is stored before it counts as done. Slices are removed
only after their shard is on the disk, so they are never missing from both. ``config.json`` is written when everything
else is there, and the journal is removed last of all. So an output folder with a ``job.json`` is unfinished, whatever
else it holds, and one with a ``config.json`` and no ``job.json`` is finished.
"""

import fcntl
import json
import shutil
from pathlib import Path
from typing import IO

from host.checkpoint.container import is_compressed
from host.checkpoint.shards import durable, storing, sync_folder, write_file
from host.compress.plan import Plan, Slice, encoder_digest
from host.compress.slices import Encoded
from host.errors import UserError

__all__ = ["PARTS", "Journal"]

PARTS = ".parts"
"""Name of the journal inside the output folder."""


class Journal:
    """The journal of ``plan`` in ``folder``, begun or continued.

    Parameters
    ----------
    folder : Path
        The output folder: one that does not exist, is empty, or holds an unfinished or finished run of the same plan.

    Members
    -------
    folder, parts : Path
        The output folder and, inside it, the folder of the journal.
    finished : bool
        Whether the output folder held the whole result already. Then there is no journal, and nothing is locked.

    Raises
    ------
    UserError
        When the folder holds anything else, cannot be written, or another run is at work in it.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.parts = folder, folder / PARTS
        self._lock: IO[str] | None = None
        self.finished = False
        # A slice depends on the plan and on the encoder's program. The two are told apart for the sake of the message.
        job = {"job": plan.job, "encoder": encoder_digest()}
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            entries = [entry.name for entry in folder.iterdir()]
        held = self.parts / "job.json"
        if held.exists():
            self._require_same(held, job)
        elif set(entries) - {PARTS}:
            config = json.loads((folder / "config.json").read_bytes()) if is_compressed(folder) else {}
            if config.get("quantization_config", {}).get("job") != plan.job:
                what = "another compressed model" if config else "something else"
                raise UserError(f"output folder {folder} holds {what}: give a new or empty folder, or remove it first")
            self.finished = True
            return
        else:
            # An empty journal was left by a run that ended before it could write job.json: it holds no slices.
            with storing(folder):
                self.parts.mkdir(exist_ok=True)
                write_file(held, self.parts / "job.part", json.dumps(job))
        with storing(folder):
            # The kernel gives up this lock however the process ends, so a crash leaves no stale lock behind.
            self._lock = held.open("r")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"another run is writing to {folder}: wait for it, or stop it") from None

    def _require_same(self, held: Path, job: dict[str, str]) -> None:
        """Refuse a journal that belongs to another job or to another version of the encoder.

        Raises
        ------
        UserError
        """
        try:
            found = json.loads(held.read_bytes())
            same_job, same_encoder = found["job"] == job["job"], found["encoder"] == job["encoder"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{held} is damaged ({type(error).__name__}): remove {self.folder} and begin "
                            "anew") from error
        if not same_job:
            raise UserError(f"output folder {self.folder} holds an unfinished run with another model or other options: "
                            "give the same ones to go on with it, or remove it to begin anew")
        if not same_encoder:
            raise UserError(f"output folder {self.folder} holds an unfinished run of another version of the encoder: "
                            "remove it to begin anew")

    def load(self, part: Slice) -> Encoded | None:
        """Return a finished slice, or None when it is not there or is damaged: it is then encoded again."""
        try:
            return Encoded.from_bytes((self.parts / part.name).read_bytes())
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def has(self, part: Slice) -> bool:
        """Whether a slice is finished."""
        return self.load(part) is not None

    def store(self, part: Slice, encoded: Encoded) -> None:
        """Keep a finished slice.

        Raises
        ------
        UserError
            When the disk is full or the folder cannot be written.
        """
        with storing(self.folder):
            durable(self.parts / part.name, self.parts / f"{part.name}.part", iter([encoded.to_bytes()]))

    def forget(self, parts: tuple[Slice, ...]) -> None:
        """Remove slices whose shard is written. UserError when the folder cannot be written."""
        with storing(self.folder):
            for part in parts:
                (self.parts / part.name).unlink(missing_ok=True)

    def close(self, done: bool) -> None:
        """Release the lock, and remove the journal when everything is done."""
        if done and self.parts.exists():
            with storing(self.folder):
                shutil.rmtree(self.parts)
                sync_folder(self.folder)
        if self._lock:
            self._lock.close()
            self._lock = None
