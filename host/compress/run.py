"""One run of a compression: what is left to encode, shards that are written, and the files that complete a folder."""

import json
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from host.checkpoint.carried import CARD
from host.checkpoint.checkpoint import Checkpoint
from host.checkpoint.container import NOTE, NOTE_KEY
from host.checkpoint.digests import FileDigest, Stamp
from host.checkpoint.durable import contents, durable, place_below, storing
from host.checkpoint.manifest import MANIFEST, SUFFIX, Manifest
from host.checkpoint.shard_names import INDEX, is_shard_name
from host.checkpoint.shards import tensors_of, write_shard
from host.compress.assembly import Assembly
from host.compress.card import model_card
from host.compress.earlier import Result
from host.compress.journal import Finished, Journal
from host.compress.plan import Plan, Shard, Slice, Target
from host.compress.slices import Encoded, Work
from host.compress.weighting import channel_weights
from host.encoder.encoder import exponent_bias_for
from host.errors import UserError
from host.feedback.aim import Aim
from host.packing import decode
from host.packing.stream import unpack_rows
from host.regular_file import read_range
from host.update import Update

__all__ = ["Compression"]


def _fits(finished: Finished, shard: Shard) -> bool:
    """Whether a record is one of a shard of the plan."""
    targets = {target.name for target in shard.targets}
    return (finished.slices.keys() == {part.name for target in shard.targets for part in target.slices}
            and finished.tensors.keys() == targets
            and finished.entry.tensors.keys() == {name + SUFFIX for name in targets}.union(shard.copies))


_SIDE_FILE = "file"  # what a file that is no shard is called until it is complete, whatever folder it belongs into


class Compression:
    """One run of :func:`host.compress.compress.compress`.

    ``finished`` holds the shards that are written, and ``kept`` the digests of other files that are. ``missing`` holds
    for each shard the slices that are neither in the journal nor, with their shard, in the output folder. ``done`` and
    ``total`` count blocks.
    """

    def __init__(self, checkpoint: Checkpoint, plan: Plan, journal: Journal, result: Result | None, check: bool,
                 reading: Update) -> None:
        self.checkpoint, self.plan, self.journal, self.check = checkpoint, plan, journal, check
        self._shard_of = {target.name: shard for shard in plan.shards for target in shard.targets}
        self.finished = dict(result.shards) if result else {}
        self.kept = dict(result.files) if result else {}
        self._take_up(reading)
        self.missing: dict[str, set[Slice]] = {}
        self.total = sum(target.blocks(part) for target in plan.targets for part in target.slices)
        self.done = 0
        for shard in plan.shards:
            written = shard.file in self.finished
            self.missing[shard.file] = set()
            for target in shard.targets:
                for part in target.slices:
                    if written or journal.load(part, target.slice_bytes(part)):
                        self.done += target.blocks(part)
                    else:
                        self.missing[shard.file].add(part)
                if written:  # the last run may have ended before it could remove them
                    journal.forget(target.slices)

    def _take_up(self, reading: Update) -> None:
        """Take up the finished shards of an earlier run that are also this one's, and the slices of all others."""
        shards = {shard.file: shard for shard in self.plan.shards}
        wanted = {part.name: (part, target.slice_bytes(part))
                  for target in self.plan.targets for part in target.slices}
        names = [name for name in self.journal.recorded() if is_shard_name(name) and name not in self.finished]
        for name, record in self.journal.finished(names, reading).items():
            if name in shards and _fits(record, shards[name]):
                self.finished[name] = record
            else:
                self.journal.dissolve(name, record, wanted)

    def left(self, target: Target) -> list[Slice]:
        """Return the slices of a tensor that are left to encode."""
        missing = self.missing[self._shard_of[target.name].file]
        return [part for part in target.slices if part in missing]

    def work(self, targets: Iterable[Target], aims: Mapping[str, Aim] | None = None) -> Iterator[tuple[Slice, Work]]:
        """Yield what is left to encode of some tensors, which have aims by the names of their formats where a
        calibration says so. Weights are read as they are asked for."""
        options = self.plan.options
        for target in targets:
            left = self.left(target)
            if not left:
                continue
            bias, channels = self._bias(target), channel_weights(self.plan.weighting, target.name)
            for part in left:
                yield part, Work(self._rows(part), target.name, target.fmt.name, options.mode, bias, self.check,
                                 channels, options.device, options.device_memory,
                                 aims.get(target.fmt.name) if aims else None)

    def restored(self, name: str) -> np.ndarray:
        """Return a matrix as the compressed model has it: float32, (rows, columns). Where it is compressed, all of its
        slices are finished.

        Raises
        ------
        UserError
            When it cannot be read.
        """
        if name not in self._shard_of:
            return self.checkpoint.matrix(name)
        shard = self._shard_of[name]
        target = next(target for target in shard.targets if target.name == name)
        fmt, cols, rows = target.fmt, target.matrix_shape[1], []
        for part, encoded in self._finished_slices(target, shard):
            stream = np.frombuffer(encoded.stream, np.uint8)
            rows.append(decode.weights(unpack_rows(stream, fmt, (part.stop - part.start, cols), encoded.exponent_bias)))
        return np.concatenate(rows).astype(np.float32)

    def _finished_slices(self, target: Target, shard: Shard) -> Iterator[tuple[Slice, Encoded]]:
        """Yield the slices of a tensor from its shard, where that is written, or from the journal."""
        if shard.file not in self.finished:
            for part in target.slices:
                yield part, self.journal.required(part, target.slice_bytes(part))
            return
        path, bias = self.journal.folder / shard.file, self.finished[shard.file].tensors[target.name].exponent_bias
        at = tensors_of(path)[target.name + SUFFIX].start
        for part in target.slices:
            size = target.slice_bytes(part)
            yield part, Encoded(read_range(path, at, size, "give the same command again"), 0, 0, bias, 0, 0)
            at += size

    def _rows(self, part: Slice) -> np.ndarray:
        """Read the weights of a slice: float32, (rows, columns)."""
        return self.checkpoint.matrix(part.tensor, slice(part.start, part.stop))

    def _bias(self, target: Target) -> int:
        """Return the exponent bias of a whole tensor, which is read once for it, slice by slice."""
        if self.plan.options.bias == "off":
            return 0
        return exponent_bias_for(max(float(np.abs(self._rows(part)).max()) for part in target.slices))

    def write(self, shard: Shard) -> None:
        """Write a shard whose slices are all in the journal, and remove them from there."""
        folder, assemblies = self.journal.folder, [Assembly(self.journal, target)
                                                   for target in shard.targets]
        tensors = [*map(self.checkpoint.raw, shard.copies), *(assembly.content for assembly in assemblies)]
        with storing(folder):
            entry = write_shard(folder / shard.file, self.journal.part(shard.file), tensors)
        finished = Finished(entry, {target.name: assembly.tensor
                                    for target, assembly in zip(shard.targets, assemblies, strict=True)},
                            {name: kept for assembly in assemblies for name, kept in assembly.kept.items()})
        self.journal.finish(shard.file, finished, tuple(part for target in shard.targets for part in target.slices))
        self.finished[shard.file] = finished

    def _side_files(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        """Yield names and contents of what makes a Hugging Face folder of the shards: the index, the tokenizer's files,
        and the config."""
        if len(self.plan.shards) > 1:
            held = {name: shard.file for shard in self.plan.shards
                    for name in (*(target.name + SUFFIX for target in shard.targets), *shard.copies)}
            index = {"metadata": {"total_size": self.plan.output_bytes}, "weight_map": held}
            yield INDEX, [_text(index)]
        yield from ((name, contents(stamp.path, stamp.size)) for name, stamp in self.plan.extras.items())
        yield from ((name, [content]) for name, content in self.checkpoint.side_files().items())
        ours = {NOTE_KEY: NOTE, "quantization_config": self.plan.settings}
        tensors = {name: tensor for shard in self.plan.shards
                   for name, tensor in self.finished[shard.file].tensors.items()}
        yield CARD, [model_card(self.checkpoint, self.plan, tensors).encode()]
        yield "config.json", [_text(self.checkpoint.config() | ours)]

    def _remove_stale(self) -> None:
        """Remove shards and the index that an earlier run wrote for another layout and had no time to record."""
        stale = [path for path in self.journal.folder.iterdir() if is_shard_name(path.name)
                 and path.name not in self.finished]
        if len(self.plan.shards) == 1:
            stale.append(self.journal.folder / INDEX)
        for path in stale:
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Write the files that are no shards, and the manifest, which makes the folder complete, last of all.

        Raises
        ------
        UserError
            When the folder cannot be written, or the model has changed since its fingerprint was taken.
        """
        folder = self.journal.folder
        for source in self.plan.sources:
            if Stamp.of(source.path) != source:
                raise UserError(f"{source.path} has changed while it was compressed: remove {folder} and give the same "
                                "command again")
        files: dict[str, FileDigest] = dict(self.kept)
        with storing(folder):
            self._remove_stale()
            for name, pieces in self._side_files():
                if name not in files:
                    files[name] = durable(place_below(folder, name), self.journal.part(_SIDE_FILE), pieces)
            shards = {shard.file: self.finished[shard.file] for shard in self.plan.shards}
            tensors = {name: tensor for shard in shards.values() for name, tensor in shard.tensors.items()}
            Manifest(self.plan.settings, self.journal.job.program, files,
                     {name: shard.entry for name, shard in shards.items()}, tensors).write(
                         folder, self.journal.part(MANIFEST))


def _text(value: dict[str, object]) -> bytes:
    """Return a JSON file's content."""
    return (json.dumps(value, indent=1) + "\n").encode()
