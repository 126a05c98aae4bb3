"""Compress a checkpoint into a folder of packed streams (:mod:`host.checkpoint.container`), slice by slice.

Memory holds a few slices, never a tensor. Slices are encoded in any order, by this process or by a cluster. A shard is
written when its last slice is there, and ``config.json`` last of all. The result is byte for byte the same however
often the work was interrupted.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host.checkpoint.checkpoint import Checkpoint, open_checkpoint
from host.checkpoint.container import SUFFIX, CompressedTensor
from host.checkpoint.shards import Content, durable, storing, write_file, write_shard
from host.compress.journal import Journal
from host.compress.plan import Options, Plan, Shard, Slice, Target
from host.compress.planner import make_plan
from host.compress.slices import Encoded, Runner, Work, run_here
from host.encoder.encoder import exponent_bias_for
from host.errors import UserError

__all__ = ["Summary", "compress"]

_INDEX = "model.safetensors.index.json"
_EXTRAS = ("*.json", "*.txt", "*.model", "*.jinja", "LICENSE*", "NOTICE*")  # files copied along: tokenizer and the like
_NOT_EXTRA = ("config.json", _INDEX)  # files that the compression writes itself

Progress = Callable[[str, int, int], None]
"""Called with the name of the tensor at hand, the number of blocks done, which may be an estimate, and that of all."""


@dataclass(frozen=True)
class Summary:
    """What a compression did: its plan, and whether it wrote anything. ``fresh`` is false when the folder was complete
    already."""

    plan: Plan
    fresh: bool


class _Compression:
    """One run of :func:`compress`.

    ``missing`` holds for each shard the slices that are neither in the journal nor, with their shard, in the output
    folder. ``done`` and ``total`` count blocks.
    """

    def __init__(self, checkpoint: Checkpoint, plan: Plan, journal: Journal, check: bool) -> None:
        self.checkpoint, self.plan, self.journal, self.check = checkpoint, plan, journal, check
        self.missing: dict[str, set[Slice]] = {}
        self.total = sum(target.blocks(plan.options.fmt, part) for target in plan.targets for part in target.slices)
        self.done = 0
        for shard in plan.shards:
            written = (journal.folder / shard.file).exists()
            self.missing[shard.file] = set()
            for target in shard.targets:
                for part in target.slices:
                    if written or journal.has(part):
                        self.done += target.blocks(plan.options.fmt, part)
                    else:
                        self.missing[shard.file].add(part)

    def work(self) -> Iterator[tuple[Slice, Work]]:
        """Yield what is left to encode. Weights are read as they are asked for."""
        for shard in self.plan.shards:
            for target in shard.targets:
                left = [part for part in target.slices if part in self.missing[shard.file]]
                if not left:
                    continue
                bias, channels = self._bias(target), self.plan.channel_weights(target.name)
                for part in left:
                    yield part, Work(self._rows(part), target.name, self.plan.options.format, self.plan.options.mode,
                                     bias, self.check, channels, self.plan.options.device)

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
        contents = [self.checkpoint.raw(name) for name in shard.copies]
        metadata = {"format": "pt"}
        for target in shard.targets:
            content, tensor = self._assembled(target)
            contents.append(content)
            metadata[content.name] = tensor.to_json()
        with storing(self.journal.folder):
            write_shard(self.journal.folder / shard.file, self.journal.parts / shard.file, contents, metadata)
        self.journal.forget(tuple(part for target in shard.targets for part in target.slices))

    def _assembled(self, target: Target) -> tuple[Content, CompressedTensor]:
        """Put a compressed tensor together from its slices.

        Slices are read twice: for the digest and the sums, which stand before the tensor in the file, and then for
        their bytes. So memory holds only one of them.
        """
        def load(part: Slice) -> Encoded:
            encoded = self.journal.load(part)
            if encoded is None:
                raise UserError(f"slice {part.name} has gone from {self.journal.parts}: give the same command again")
            return encoded

        digest, error, norm, bias, size = hashlib.sha256(), 0.0, 0.0, 0, 0
        for part in target.slices:
            encoded = load(part)
            digest.update(encoded.stream)
            error, norm, size = error + encoded.error, norm + encoded.norm, size + len(encoded.stream)
            bias = encoded.exponent_bias
        # Sums of floats differ in their last digits from processor to processor; six digits make them the same text.
        relative = float(f"{(error / norm) ** 0.5 if norm else 0.0:.6g}")
        tensor = CompressedTensor(self.plan.options.fmt.name, target.shape, bias, target.dtype, relative, "")
        padding = bytes(tensor.stream_bytes - size)
        digest.update(padding)
        tensor = CompressedTensor(tensor.format, tensor.shape, bias, tensor.dtype, relative, digest.hexdigest())

        def pieces() -> Iterator[bytes]:
            for part in target.slices:
                yield load(part).stream
            yield padding

        return Content(target.name + SUFFIX, "U8", (tensor.stream_bytes,), tensor.stream_bytes, pieces), tensor

    def finish(self) -> None:
        """Write what makes a Hugging Face folder of the shards: the index, the tokenizer's files, and the config."""
        folder, parts = self.journal.folder, self.journal.parts
        with storing(folder):
            if len(self.plan.shards) > 1:
                held = {name: shard.file for shard in self.plan.shards
                        for name in (*(target.name + SUFFIX for target in shard.targets), *shard.copies)}
                index = {"metadata": {"total_size": self.plan.output_bytes}, "weight_map": held}
                write_file(folder / _INDEX, parts / _INDEX, json.dumps(index, indent=1) + "\n")
            if self.checkpoint.path.is_dir():
                extras = {path for glob in _EXTRAS for path in self.checkpoint.path.glob(glob) if path.is_file()}
                for path in sorted(path for path in extras if path.name not in _NOT_EXTRA):
                    durable(folder / path.name, parts / path.name, iter([path.read_bytes()]))
            config = self.checkpoint.config() | {"quantization_config": self.plan.settings}
            write_file(folder / "config.json", parts / "config.json", json.dumps(config, indent=1) + "\n")


def _require_room(plan: Plan, folder: Path) -> None:
    """Refuse a compression that does not fit the disk: its result, and the slices of the largest shard beside it.

    Raises
    ------
    UserError
    """
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    kept = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    need = plan.output_bytes + min(plan.options.shard_bytes, plan.output_bytes) - kept
    free = shutil.disk_usage(there).free
    if need > free:
        raise UserError(f"{folder} needs {need / 1e9:.1f} GB, and its disk has {free / 1e9:.1f} GB left: make room, or "
                        "write to another disk")


def compress(model: Path, out: Path, options: Options, *, check: bool = False,
             weighting: Path | None = None, runner: Runner = run_here,
             progress: Progress = lambda tensor, done, total: None) -> Summary:
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
    runner : Runner
        What encodes slices. Default: this process.
    progress : callable
        See :data:`Progress`.

    Raises
    ------
    UserError
        On anything that the user can mend; what is finished stays, and the same call goes on from there.
    CheckError
        When a check fails.
    """
    checkpoint = open_checkpoint(model)
    plan = make_plan(checkpoint, options, weighting)
    _require_room(plan, out)
    journal = Journal(out, plan)
    if journal.finished:
        return Summary(plan, False)
    complete = False
    try:
        run = _Compression(checkpoint, plan, journal, check)
        blocks = {part: target.blocks(options.fmt, part) for target in plan.targets for part in target.slices}
        shard_of = {part: shard for shard in plan.shards for target in shard.targets for part in target.slices}
        # An earlier run may have ended between the last slice of a shard and the shard, or the shard may hold only
        # tensors that are copied: no slice will be finished that would have it written.
        for shard in plan.shards:
            if not run.missing[shard.file] and not (out / shard.file).exists():
                run.write(shard)
        progress("", run.done, run.total)
        for part, encoded in runner(run.work(), lambda part, fraction: progress(
                part.tensor, run.done + int(fraction * blocks[part]), run.total)):
            journal.store(part, encoded)
            run.done += blocks[part]
            progress(part.tensor, run.done, run.total)
            shard = shard_of[part]
            run.missing[shard.file].remove(part)
            if not run.missing[shard.file]:
                run.write(shard)
        run.finish()
        complete = True
    finally:
        journal.close(complete)
    return Summary(plan, True)
