"""Decompression: a compressed folder is turned back into a plain Hugging Face folder, shard by shard.

The work is kept in a journal (:mod:`host.compress.journal`), so that the same call goes on where an interrupted one
stopped. Every shard is compared with its digest just before it is turned back.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from golden import interruption
from golden.tree import source_digest
from host.checkpoint.carried import restored_name
from host.checkpoint.container import NOTE_KEY, CompressedFiles, open_compressed
from host.checkpoint.durable import contents, durable, place_below, storing
from host.checkpoint.shard_names import INDEX, PLAIN_INDEX, plain_names
from host.checkpoint.shards import FLOATS, Content, write_shard
from host.compress.journal import Finished, Job, Journal, require_output, require_room
from host.errors import UserError
from host.packing.stream import lanes
from host.update import Update, no_progress

__all__ = ["decompress"]

_PIECE = 1 << 21  # weights decoded at a time


class _Decompression:
    """One run of :func:`decompress`.

    ``dtype`` is the type of all weights, or None for the one that each tensor had. ``names`` maps the name of each
    shard to the one that it will have. ``done`` and ``total`` count blocks.
    """

    def __init__(self, files: CompressedFiles, dtype: str | None, progress: Callable[[str, int, int], None]) -> None:
        self.files, self.dtype, self._progress = files, dtype, progress
        self.names = dict(zip((file.name for file in files.files), plain_names(len(files.files)), strict=True))
        self.total = sum(map(self._blocks, files.compressed))
        self.done = 0

    def _blocks(self, name: str) -> int:
        """Return the number of blocks of a compressed tensor."""
        tensor = self.files.compressed[name]
        rows, cols = tensor.matrix_shape
        return rows * -(-cols // tensor.fmt.c)

    def count(self, name: str, blocks: int) -> None:
        """Say that blocks of a tensor are done."""
        self.done += blocks
        self._progress(name, self.done, self.total)

    def skip(self, file: Path) -> None:
        """Count the blocks of a shard that an earlier run has written."""
        self.done += sum(self._blocks(name) for name in self.files.held(file) if name in self.files.compressed)

    def contents(self, file: Path) -> list[Content]:
        """Return the tensors of a shard as they will be written."""
        return [self._content(name) if name in self.files.compressed else self.files.raw(name)
                for name in self.files.held(file)]

    def _content(self, name: str) -> Content:
        """Return a compressed tensor as it will be written: decoded some groups of rows at a time, or one matrix at a
        time where they are transposed."""
        tensor = self.files.compressed[name]
        kind = self.dtype or (tensor.dtype if tensor.dtype in FLOATS else "F32")
        side, (height, cols) = lanes(tensor.fmt), tensor.shape[-2:]
        rows = math.prod(tensor.shape[:-1])
        step = height if tensor.transposed else max(_PIECE // (cols * side), 1) * side

        def pieces() -> Iterator[bytes]:
            for start in range(0, rows, step):
                stop = min(start + step, rows)
                values = self.files.decoded(name, kind, start, stop)
                if not np.isfinite(values).all():
                    raise UserError(f"{name} has weights beyond the range of {kind}: decompress with --dtype f32 into "
                                    "a new folder")
                yield values.tobytes()
                self.count(name, self._blocks(name) * (stop - start) // rows)

        return Content(name, kind, tensor.shape, math.prod(tensor.shape) * np.dtype(FLOATS[kind]).itemsize, pieces)

    def job(self) -> Job:
        """Return what the result depends on: the manifest, the type of the weights, and the decoder."""
        known = hashlib.sha256(f"{self.dtype}\n{self.files.manifest.text()}".encode()).hexdigest()
        return Job(known, source_digest("host.packing.decode", "host.packing.stream"))

    def finish(self, journal: Journal) -> None:
        """Write what makes a Hugging Face folder of the shards: the index, the other files, and the config."""
        out, files = journal.folder, self.files
        with storing(out):
            if len(files.files) > 1:
                shard_of = {name: self.names[file.name] for file in files.files for name in files.held(file)}
                index = json.dumps({"metadata": {}, "weight_map": shard_of}, indent=1)
                durable(out / PLAIN_INDEX, journal.part(PLAIN_INDEX), [f"{index}\n".encode()])
            for stored, digest in files.manifest.files.items():
                name = restored_name(stored)
                if name and stored not in ("config.json", INDEX):
                    durable(place_below(out, name), journal.part("file"), contents(files.path / stored, digest.bytes))
            config = {key: value for key, value in files.config().items()
                      if key not in ("quantization_config", NOTE_KEY)}
            durable(out / "config.json", journal.part("config.json"), [f"{json.dumps(config, indent=1)}\n".encode()])


def decompress(folder: Path, out: Path, dtype: str | None = None,
               progress: Callable[[str, int, int], None] = lambda tensor, done, total: None,
               reading: Update = no_progress) -> list[str]:
    """Write the weights that a compressed folder stands for as plain safetensors, or go on with what an interrupted
    call has left.

    Parameters
    ----------
    out : Path
        A folder that does not exist, is empty, or holds an unfinished run of the same folder and type.
    dtype : str, optional
        A key of :data:`host.checkpoint.shards.FLOATS`. Default: the type that each tensor had before compression, or
        F32 where that is none of these.
    progress : callable
        Called with the name of the tensor at hand, the number of blocks done and that of all blocks.
    reading : Update
        As for :func:`host.checkpoint.digests.digests`, while finished shards of an earlier call are read.

    Returns
    -------
    list of str
        A sentence for every shard that another tool has written since the compression.

    Raises
    ------
    UserError
        When the folder is damaged, ``out`` holds something else or cannot be written, or a weight is beyond ``dtype``.
    """
    files = open_compressed(folder)
    if dtype not in (None, *FLOATS):
        raise UserError(f"no type {dtype}: choose one of {', '.join(FLOATS).lower()}")
    require_output(out)
    notices = files.check(list(files.manifest.files))
    run = _Decompression(files, dtype, progress)
    require_room(out, sum(content.size for file in files.files for content in run.contents(file)))
    journal, complete = Journal(out, run.job()), False
    try:
        finished = journal.finished(run.names.values(), reading)
        for file in files.files:
            if run.names[file.name] in finished:
                run.skip(file)
        progress("", run.done, run.total)
        for file in files.files:
            name = run.names[file.name]
            if name in finished:
                continue
            notices += files.check([file.name])
            with storing(out):
                entry = write_shard(out / name, journal.part(name), run.contents(file))
            journal.finish(name, Finished(entry))
        run.finish(journal)
        interruption.complete()  # without its journal, the result is a folder like any other
        complete = True
    finally:
        journal.close(complete)
    return notices
