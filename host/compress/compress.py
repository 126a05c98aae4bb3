"""Compress a checkpoint into a folder of packed streams (:mod:`host.checkpoint.container`), slice by slice.

Memory holds a few slices, never a tensor. Slices are encoded in any order, by this process or by a cluster. A shard is
written when its last slice is there, and the manifest last of all. The result is byte for byte the same however often
the work was interrupted. In a folder that was finished before, what is missing and shards that are damaged are made
anew.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from host.calibrate.calibration import Calibration
from host.checkpoint.carried import CARD
from host.checkpoint.checkpoint import Checkpoint, open_checkpoint
from host.checkpoint.container import NOTE, NOTE_KEY
from host.checkpoint.digests import FileDigest, Stamp
from host.checkpoint.durable import contents, durable, place_below, storing
from host.checkpoint.integrity import Findings, examine
from host.checkpoint.manifest import MANIFEST, SUFFIX, CompressedTensor, Manifest, ShardEntry, read_manifest
from host.checkpoint.shard_names import INDEX, is_shard_name
from host.checkpoint.shards import Content, tensors_of, write_shard
from host.checkpoint.unfinished import PARTS
from host.compress.account import Account, account, far_off_notice
from host.compress.calibrated import Stage, calibrated
from host.compress.card import model_card
from host.compress.journal import Finished, Job, Journal, Kept, require_room
from host.compress.plan import Options, Plan, Shard, Slice, Target
from host.compress.planner import make_plan
from host.compress.slices import Encoded, Runner, Work, run_here
from host.encoder.encoder import exponent_bias_for
from host.errors import UserError
from host.feedback.aim import Aim
from host.packing import decode
from host.packing.stream import stream_bytes, unpack_rows
from host.regular_file import read_range
from host.update import Update, no_progress

__all__ = ["Summary", "compress"]

Progress = Callable[[str, int, int], None]
"""Called with the name of the tensor at hand, the number of blocks done, which may be an estimate, and that of all."""


@dataclass(frozen=True)
class Summary:
    """What a compression did: its plan, its account, and whether it wrote anything.

    ``fresh`` is false when the folder was complete already. ``notices`` are sentences about what the model has and the
    folder has not, about what was found in a folder that was finished before, and about errors.
    """

    plan: Plan
    account: Account
    fresh: bool
    notices: tuple[str, ...]


class _Result:
    """What a finished run of the same plan has left in the output folder.

    Members
    -------
    found : Findings
        What is not as the manifest says. No file that is no shard is changed: that would be a UserError.
    shards : dict
        The shards that are as they should be, by name.

    Raises
    ------
    UserError
        When the manifest is damaged or belongs to another job, a file has changed that is no shard, or a shard is
        damaged that this version of the encoder did not write.
    """

    def __init__(self, folder: Path, plan: Plan, reading: Update) -> None:
        manifest = read_manifest(folder)
        if manifest.settings.get("job") != plan.job:
            raise UserError(f"output folder {folder} holds another compressed model: give a new or empty folder, or "
                            "remove it first")
        self.found = examine(folder, manifest, reading=reading)
        Findings(changed=self.found.changed).refuse(folder)
        bad = [*self.found.missing, *self.found.damaged]
        lost = next((name for name in bad if name in manifest.shards), None)
        if lost and manifest.program != plan.program:
            raise UserError(f"{folder / lost} is damaged or missing, and another version of the encoder wrote it: "
                            f"copy it again, or remove {folder} and compress the model again")
        self.files = {name: digest for name, digest in manifest.files.items() if name not in bad}
        self.shards = {name: Finished(
            ShardEntry(self.found.rewritten.get(name, shard.digest), shard.tensors),
            {original: tensor for original, tensor in manifest.tensors.items() if original + SUFFIX in shard.tensors})
            for name, shard in manifest.shards.items() if name not in bad}

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or damaged."""
        return not self.found.missing and not self.found.damaged

    def notices(self, folder: Path) -> list[str]:
        """Return a sentence for every shard that another tool has written, or that is made anew."""
        return [*self.found.notices(folder), *(f"{folder / name} is damaged ({fault}): it is made anew"
                                               for name, fault in self.found.damaged.items())]


def _result(folder: Path, plan: Plan, reading: Update) -> _Result | None:
    """Return what a finished run has left, or None when no run was finished; errors as :class:`_Result`."""
    return _Result(folder, plan, reading) if (folder / MANIFEST).is_file() else None


def _root(error: float, norm: float) -> float:
    """Return a relative error of squares."""
    # Sums of floats differ in their last digits from processor to processor; six digits make them the same text.
    return float(f"{(error / norm) ** 0.5 if norm else 0.0:.6g}")


class _Assembly:
    """A compressed tensor that is put together from its slices while its bytes are written, so that memory holds only
    one of them. The sums of its errors, and ``kept``, its slices by the names of their files, are complete when all
    pieces were taken."""

    def __init__(self, journal: Journal, target: Target, plan: Plan) -> None:
        self._journal, self._target, self._options = journal, target, plan.options
        self._error, self._norm, self._bias, self._block_errors, self._blocks = 0.0, 0.0, 0, 0.0, 0
        self.kept: dict[str, Kept] = {}
        self._size = stream_bytes(plan.options.fmt, target.matrix_shape)

    def pieces(self) -> Iterator[bytes]:
        """Yield the stream, slice by slice, and the zeros at its end."""
        left = self._size
        for part in self._target.slices:
            encoded = self._journal.required(part, self._target.slice_bytes(self._options.fmt, part))
            self._error, self._norm = self._error + encoded.error, self._norm + encoded.norm
            self._block_errors, self._blocks = self._block_errors + encoded.block_errors, self._blocks + encoded.blocks
            self.kept[part.name] = Kept(self._target.name + SUFFIX, self._size - left, replace(encoded, stream=b""))
            self._bias, left = encoded.exponent_bias, left - len(encoded.stream)
            yield encoded.stream
        yield bytes(left)

    @property
    def content(self) -> Content:
        """The tensor as it is written."""
        return Content(self._target.name + SUFFIX, "U8", (self._size,), self._size, self.pieces)

    @property
    def tensor(self) -> CompressedTensor:
        """What the tensor means."""
        return CompressedTensor(self._options.fmt.name, self._target.shape, self._target.transposed, self._bias,
                                self._target.dtype, _root(self._error, self._norm),
                                _root(self._block_errors, self._blocks))


def _fits(finished: Finished, shard: Shard) -> bool:
    """Whether a record is one of a shard of the plan."""
    targets = {target.name for target in shard.targets}
    return (finished.slices.keys() == {part.name for target in shard.targets for part in target.slices}
            and finished.tensors.keys() == targets
            and finished.entry.tensors.keys() == {name + SUFFIX for name in targets}.union(shard.copies))


_SIDE_FILE = "file"  # what a file that is no shard is called until it is complete, whatever folder it belongs into


class _Compression:
    """One run of :func:`compress`.

    ``finished`` holds the shards that are written, and ``kept`` the digests of other files that are. ``missing`` holds
    for each shard the slices that are neither in the journal nor, with their shard, in the output folder. ``done`` and
    ``total`` count blocks.
    """

    def __init__(self, checkpoint: Checkpoint, plan: Plan, journal: Journal, result: _Result | None, check: bool,
                 reading: Update) -> None:
        self.checkpoint, self.plan, self.journal, self.check = checkpoint, plan, journal, check
        self._shard_of = {target.name: shard for shard in plan.shards for target in shard.targets}
        self.finished = dict(result.shards) if result else {}
        self.kept = dict(result.files) if result else {}
        self._take_up(reading)
        self.missing: dict[str, set[Slice]] = {}
        self.total = sum(target.blocks(plan.options.fmt, part) for target in plan.targets for part in target.slices)
        self.done = 0
        for shard in plan.shards:
            written = shard.file in self.finished
            self.missing[shard.file] = set()
            for target in shard.targets:
                for part in target.slices:
                    if written or journal.load(part, target.slice_bytes(plan.options.fmt, part)):
                        self.done += target.blocks(plan.options.fmt, part)
                    else:
                        self.missing[shard.file].add(part)
                if written:  # the last run may have ended before it could remove them
                    journal.forget(target.slices)

    def _take_up(self, reading: Update) -> None:
        """Take up the finished shards of an earlier run that are also this one's, and the slices of all others."""
        shards = {shard.file: shard for shard in self.plan.shards}
        wanted = {part.name: (part, target.slice_bytes(self.plan.options.fmt, part))
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

    def work(self, targets: Iterable[Target], aim: Aim | None = None) -> Iterator[tuple[Slice, Work]]:
        """Yield what is left to encode of some tensors. Weights are read as they are asked for."""
        options = self.plan.options
        for target in targets:
            left = self.left(target)
            if not left:
                continue
            bias, channels = self._bias(target), self.plan.channel_weights(target.name)
            for part in left:
                yield part, Work(self._rows(part), target.name, options.format, options.mode, bias, self.check,
                                 channels, options.device, aim)

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
        fmt, cols, rows = self.plan.options.fmt, target.matrix_shape[1], []
        for part, encoded in self._finished_slices(target, shard):
            stream = np.frombuffer(encoded.stream, np.uint8)
            rows.append(decode.weights(unpack_rows(stream, fmt, (part.stop - part.start, cols), encoded.exponent_bias)))
        return np.concatenate(rows).astype(np.float32)

    def _finished_slices(self, target: Target, shard: Shard) -> Iterator[tuple[Slice, Encoded]]:
        """Yield the slices of a tensor from its shard, where that is written, or from the journal."""
        fmt = self.plan.options.fmt
        if shard.file not in self.finished:
            for part in target.slices:
                yield part, self.journal.required(part, target.slice_bytes(fmt, part))
            return
        path, bias = self.journal.folder / shard.file, self.finished[shard.file].tensors[target.name].exponent_bias
        at = tensors_of(path)[target.name + SUFFIX].start
        for part in target.slices:
            size = target.slice_bytes(fmt, part)
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
        folder, assemblies = self.journal.folder, [_Assembly(self.journal, target, self.plan)
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


def _summary(checkpoint: Checkpoint, plan: Plan, out: Path, result: _Result | None) -> Summary:
    """Return the summary of a compression that is complete, where a finished run may have left ``result`` before."""
    tensors = read_manifest(out).tensors
    return Summary(plan, account(checkpoint, plan, tensors), not (result and result.complete), (
        *checkpoint.notices(), *(result.notices(out) if result else ()),
        *far_off_notice(tensors, plan.gaussian, plan.calibration is not None)))


def compress(model: Path, out: Path, options: Options, *, check: bool = False,
             weighting: Path | None = None, calibration: Calibration | None = None, statistics: Path | None = None,
             runner: Runner = run_here,
             progress: Progress = lambda tensor, done, total: None, reading: Update = no_progress) -> Summary:
    """Compress ``model`` into the folder ``out``, or go on with what an interrupted call has left there.

    Parameters
    ----------
    model : Path
        A GGUF file, a ``.safetensors`` file or a Hugging Face folder.
    out : Path
        A folder that does not exist, is empty, or holds a run of the same model and options.
    check : bool
        Whether to decode every slice again and compare it with golden.
    weighting : Path, optional
        A folder of ``NAME.npy``, which say for any of the tensors what an error in each of its columns counts
        (``channel_weights`` of :func:`host.encoder.encoder.encode`), from a calibration run. Default: all count alike.
    calibration : Calibration, optional
        The text that the model is calibrated with. Errors then count as they change the products of the matrices, and
        blocks make up for those before them (:mod:`host.feedback`).
    statistics : Path, optional
        A folder that keeps what the calibration finds out. Default: one in the build folder.
    runner : Runner
        What encodes slices. Default: this process.
    progress : callable
        See :data:`Progress`.
    reading : Update
        As for :func:`host.checkpoint.digests.digests`, while the model's bytes and those of finished shards are read.

    Raises
    ------
    UserError
        On anything that the user can mend; what is finished stays, and the same call goes on from there.
    CheckError
        When a check fails.
    """
    if model.is_dir() and out.resolve().is_relative_to(model.resolve()):
        raise UserError(f"the output folder {out} is in the model's folder {model}, of which all files are carried "
                        "over: give another")
    checkpoint = open_checkpoint(model)
    plan = make_plan(checkpoint, options, weighting, reading, calibration)
    result = _result(out, plan, reading)
    if result and result.complete and not (out / PARTS).exists():
        return _summary(checkpoint, plan, out, result)
    calibrating = calibrated(checkpoint, plan, calibration, statistics)
    require_room(out, plan.output_bytes + sum(stamp.size for stamp in plan.extras.values()),
                 min(plan.options.shard_bytes, plan.output_bytes))
    journal = Journal(out, Job(plan.work, plan.program), lambda: (out / MANIFEST).is_file())
    complete = False
    try:
        result = _result(out, plan, reading)  # another run may have ended before this one had the lock
        run = _Compression(checkpoint, plan, journal, result, check, reading)
        blocks = {part: target.blocks(options.fmt, part) for target in plan.targets for part in target.slices}
        shard_of = {part: shard for shard in plan.shards for target in shard.targets for part in target.slices}
        # An earlier run may have ended between the last slice of a shard and the shard, or the shard may hold only
        # tensors that are copied: no slice will be finished that would have it written.
        for shard in plan.shards:
            if not run.missing[shard.file] and shard.file not in run.finished:
                run.write(shard)
        progress("", run.done, run.total)
        for stage in calibrating.stages() if calibrating else [Stage(tuple(plan.targets))]:
            if not any(map(run.left, stage.targets)):
                continue
            aim = calibrating.aim(stage, run.restored, lambda what, done, all_: progress(
                what, run.done, run.total)) if calibrating else None
            for part, encoded in runner(run.work(stage.targets, aim), lambda part, fraction: progress(
                    part.tensor, run.done + int(fraction * blocks[part]), run.total)):
                journal.store(part, encoded)
                run.done += blocks[part]
                progress(part.tensor, run.done, run.total)
                shard = shard_of[part]
                run.missing[shard.file].remove(part)
                if not run.missing[shard.file]:
                    run.write(shard)
        if not (result and result.complete):
            run.finish()
        complete = True
    finally:
        journal.close(complete)
    return _summary(checkpoint, plan, out, result)
