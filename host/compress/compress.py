"""Compress a checkpoint into a folder of packed streams (:mod:`host.checkpoint.container`), slice by slice.

Memory holds a few slices, never a tensor. Slices are encoded in any order, by this process or by a cluster. A shard is
written when its last slice is there, and the manifest last of all. The result is byte for byte the same however often
the work was interrupted. In a folder that was finished before, what is missing and shards that are damaged are made
anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from host.calibrate.calibration import Calibration
from host.checkpoint.checkpoint import Checkpoint, open_checkpoint
from host.checkpoint.manifest import MANIFEST, read_manifest
from host.checkpoint.unfinished import PARTS
from host.compress.account import Account, account, far_off_notice, quantised_notice
from host.compress.calibrated import Calibrated, Stage
from host.compress.earlier import Result, earlier_result
from host.compress.here import run_here
from host.compress.journal import Job, Journal, require_output, require_room
from host.compress.plan import Options, Plan, Slice
from host.compress.planner import make_plan
from host.compress.run import Compression
from host.compress.slices import Runner
from host.errors import UserError
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


def _summary(checkpoint: Checkpoint, plan: Plan, out: Path, result: Result | None) -> Summary:
    """Return the summary of a compression that is complete, where a finished run may have left ``result`` before."""
    tensors = read_manifest(out).tensors
    return Summary(plan, account(checkpoint, plan, tensors), not (result and result.complete), (
        *checkpoint.notices(), *quantised_notice(checkpoint, tensors), *(result.notices(out) if result else ()),
        *far_off_notice(tensors, plan.gaussian, plan.calibration is not None)))


def _require_one_metric(options: Options, weighting: Path | None, calibration: Calibration | None,
                        statistics: Path | None) -> None:
    """Refuse two things that say what errors count, either on a device, and statistics of neither. UserError."""
    for option, given in (("--weighting", weighting), ("--calibrate", calibration)):
        if given and options.device:
            raise UserError(f"{option} is for processors, as a device would need other tables for every few columns of "
                            f"a matrix: leave out {option} or --device")
    if weighting and calibration:
        raise UserError("--calibrate says itself what errors count: leave out --weighting or --calibrate")
    if statistics and not calibration:
        raise UserError("statistics belong to a calibration: give --calibrate, or leave --statistics out")


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
    def begun() -> bool:
        return (out / MANIFEST).is_file()

    _require_one_metric(options, weighting, calibration, statistics)
    checkpoint = open_checkpoint(model)
    require_output(out, begun)
    plan = make_plan(checkpoint, options, weighting, reading, calibration,
                     lambda what, done, all_: progress(what, int(done), int(all_)))
    result = earlier_result(out, plan, reading)
    if result and result.complete and not (out / PARTS).exists():
        return _summary(checkpoint, plan, out, result)
    calibrating = Calibrated(checkpoint, plan, calibration, statistics) if calibration else None
    require_room(out, plan.output_bytes + sum(stamp.size for stamp in plan.extras.values()),
                 min(plan.options.shard_bytes, plan.output_bytes))
    journal = Journal(out, Job(plan.work, plan.program), begun)
    complete = False
    try:
        result = earlier_result(out, plan, reading)  # another run may have ended before this one had the lock
        run = Compression(checkpoint, plan, journal, result, check, reading)
        blocks = {part: target.blocks(part) for target in plan.targets for part in target.slices}
        shard_of = {part: shard for shard in plan.shards for target in shard.targets for part in target.slices}
        at_work = dict[Slice, float]()  # blocks that are done of slices at work, of which there may be several

        def partial(part: Slice, fraction: float) -> None:
            at_work[part] = fraction * blocks[part]
            progress(part.tensor, run.done + int(sum(at_work.values())), run.total)

        # An earlier run may have ended between the last slice of a shard and the shard, or the shard may hold only
        # tensors that are copied: no slice will be finished that would have it written.
        for shard in plan.shards:
            if not run.missing[shard.file] and shard.file not in run.finished:
                run.write(shard)
        progress("", run.done, run.total)
        for stage in calibrating.stages() if calibrating else [Stage(tuple(plan.targets))]:
            if not any(map(run.left, stage.targets)):
                continue
            aims = calibrating.aims(stage, run.restored, lambda what, done, all_: progress(
                what, run.done, run.total)) if calibrating else None
            for part, encoded in runner(run.work(stage.targets, aims), partial):
                journal.store(part, encoded)
                at_work.pop(part, None)
                run.done += blocks[part]
                progress(part.tensor, run.done + int(sum(at_work.values())), run.total)
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
