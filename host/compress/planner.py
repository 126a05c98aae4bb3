"""Plans a compression. All bytes of the checkpoint are read once, for a digest that tells it from others."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np

from host.calibrate.calibration import Calibration
from host.checkpoint.carried import carried, left_behind, stored_name
from host.checkpoint.checkpoint import Checkpoint
from host.checkpoint.digests import Stamp, content_digest
from host.checkpoint.manifest import SUFFIX
from host.checkpoint.shard_names import shard_names
from host.compress.plan import Options, Plan, Shard, Slice, Target, tensor_key, weighting_file
from host.compress.slices import block_errors
from host.encoder.encoder import encode
from host.encoder.torch_encoder import encode_torch
from host.errors import UserError
from host.packing.stream import lanes, stream_bytes
from host.update import Update, no_progress

__all__ = ["make_plan"]

_DEFAULT = "default"
"""Word among the patterns to include that stands for all that is compressed by default."""
_TRIALS = 32  # blocks of Gaussian weights that are encoded to learn the error of the format, to some 4 %
_USUAL = 0.02  # standard deviation of the weights of language models, about
_SHARING = 2048
"""Rows that share the tables of the kernel at least, where each block column has tables of its own: as many take twice
as long as the tables do."""


def _slices(options: Options, key: str, name: str, shape: tuple[int, int], sharing: int) -> tuple[Slice, ...]:
    """Cut a tensor into slices of whole groups of rows, of ``sharing`` rows or more, whose streams can be joined byte
    by byte."""
    side = lanes(options.fmt)
    step = max(options.slice_weights // (shape[1] * side), -(-sharing // side), 1) * side
    return tuple(Slice(key, name, start, min(start + step, shape[0])) for start in range(0, shape[0], step))


def _shards(parts: list[tuple[int, Target | str]], limit: int) -> Iterator[tuple[list[Target], list[str]]]:
    """Distribute (size, tensor) in order over shards of at most ``limit`` bytes, or of one larger tensor.

    Yields for each shard the tensors to be compressed and the names of those to be copied.
    """
    targets: list[Target] = []
    copies: list[str] = []
    total = 0
    for size, part in parts:
        if total and total + size > limit:
            yield targets, copies
            targets, copies, total = [], [], 0
        if isinstance(part, Target):
            targets.append(part)
        else:
            copies.append(part)
        total += size
    yield targets, copies


def _try_encoder(options: Options) -> float:
    """Return the relative error of a block of Gaussian weights. A fault of format, compiler or device shows before the
    work begins."""
    trial = np.random.default_rng(0).normal(0, _USUAL, (_TRIALS, options.fmt.c)).astype(np.float32)
    bias: Literal["auto"] | int = "auto" if options.bias == "auto" else 0
    if not options.device:
        matrix = encode(trial, options.fmt, options.mode, exponent_bias=bias)
    else:
        matrix = encode_torch(trial, options.fmt, options.mode, exponent_bias=bias, device=options.device)
    error, blocks = block_errors(trial.astype(np.float64), matrix)
    return float(f"{(error / blocks) ** 0.5:.4g}")  # the last digits differ from processor to processor


def _require_one_metric(options: Options, weighting: Path | None, calibration: Calibration | None) -> None:
    """Refuse two things that say what errors count, and either on a device. UserError."""
    if weighting and options.device:
        raise UserError("channel weights need the encoder for processors: leave out the weighting or the device")
    if calibration and options.device:
        raise UserError("a calibration needs the encoder for processors: leave out the calibration or the device")
    if weighting and calibration:
        raise UserError("a calibration says itself what errors count: leave out the weighting or the calibration")


def _wanted(checkpoint: Checkpoint, options: Options) -> set[str]:
    """Return the names of the tensors that the options ask to be compressed."""
    checkpoint.require_usual(not options.include)
    included = {name for name in checkpoint.names() if any(fnmatchcase(name, glob) for glob in options.include)}
    if not options.include or _DEFAULT in options.include:
        included.update(checkpoint.compressible())
    return {name for name in included if not any(fnmatchcase(name, glob) for glob in options.exclude)}


def _contents(checkpoint: Checkpoint, options: Options,
              sharing: int) -> tuple[list[tuple[int, Target | str]], tuple[str, ...]]:
    """List what the result holds, and the names that match but are no matrices, or matrices narrower than a block.
    Slices have ``sharing`` rows or more.

    Of each tensor there is its size in bytes in the result, and the target or, if it is copied, its name.
    """
    contents: list[tuple[int, Target | str]] = []
    left_out, wanted = [], _wanted(checkpoint, options)
    for name in checkpoint.names():
        if name.endswith(SUFFIX):
            raise UserError(f"tensor {name} of {checkpoint.path} is compressed already: give the original checkpoint")
        stated = checkpoint.shape(name)
        # With rows shorter than a block, as kernels of convolutions have them, a tensor would become larger.
        if name in wanted and len(stated) > 1 and all(stated) and checkpoint.matrix_shape(name)[1] >= options.fmt.c:
            shape = checkpoint.matrix_shape(name)
            checkpoint.read(name, slice(1))  # refuses a tensor of integers now, not after hours
            described = name, stated, checkpoint.transposed(name), checkpoint.dtype(name)
            target = Target(*described, _slices(options, tensor_key(*described), name, shape, sharing))
            contents.append((stream_bytes(options.fmt, shape), target))
        else:
            contents.append((checkpoint.raw(name).size, name))
            if name in wanted:
                left_out.append(name)
    if not any(isinstance(part, Target) for _, part in contents):
        asked = f"matches {' '.join(options.include)}" if options.include else "is compressed by default"
        raise UserError(f"no matrix in {checkpoint.path} {asked}: give patterns with --include; the first names are "
                        f"{', '.join(checkpoint.names()[:3])}")
    return contents, tuple(left_out)


def _weighting_files(weighting: Path | None, targets: list[Target], names: list[str]) -> list[Path]:
    """Return the files of channel weights of tensors of these names; UserError when the folder has none for any tensor
    that is compressed."""
    if weighting is None:
        return []
    found = [path for name in names if (path := weighting_file(weighting, name))]
    if not any(weighting_file(weighting, target.name) for target in targets):
        raise UserError(f"{weighting} holds channel weights of no tensor that is compressed: name them as in "
                        f"{targets[0].name}.npy")
    return found


def make_plan(checkpoint: Checkpoint, options: Options, weighting: Path | None = None,
              reading: Update = no_progress, calibration: Calibration | None = None) -> Plan:
    """Plan the compression of a checkpoint.

    Parameters
    ----------
    weighting : Path, optional
        A folder of ``NAME.npy``, which are channel weights of tensors.
    reading : Update
        As for :func:`host.checkpoint.digests.digests`, while the bytes of the model are read for its fingerprint.
    calibration : Calibration, optional
        The text that the model is calibrated with.

    Raises
    ------
    UserError
        When the checkpoint is quantised already, nothing matches, format and mode do not go together, the encoder
        cannot be built, or both channel weights and a calibration are given.
    FormatError
        When there is no such format.
    """
    fmt = options.fmt
    if quantized := checkpoint.config().get("quantization_config"):
        method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized
        raise UserError(f"{checkpoint.path} is quantised already ({method}): give the original checkpoint")
    _require_one_metric(options, weighting, calibration)
    gaussian = _try_encoder(options)
    described = calibration.described() if calibration else None
    contents, left_out = _contents(checkpoint, options, _SHARING if calibration else 0)
    groups = list(_shards(contents, options.shard_bytes))
    shards = tuple(Shard(file, tuple(targets), tuple(copies))
                   for file, (targets, copies) in zip(shard_names(len(groups)), groups, strict=True))
    targets = [target for shard in shards for target in shard.targets]
    # Everything that the result depends on: a run with other bytes must not go on with this one's slices.
    names = carried(checkpoint.path)
    config = checkpoint.path / "config.json"
    sources = [*checkpoint.files, *([config] if os.path.isfile(config) else []), *(checkpoint.path / n for n in names),
               *_weighting_files(weighting, targets, checkpoint.names())]
    stamps = tuple(map(Stamp.of, sources))
    fingerprint = content_digest(sources, reading)
    padded = tuple(target.name for target in targets if target.matrix_shape[1] % fmt.c)
    stamp_of = {stamp.path: stamp for stamp in stamps}
    return Plan(options, shards, sum(size for size, _ in contents), fingerprint, padded, left_out, weighting,
                {stored_name(name): stamp_of[checkpoint.path / name] for name in names},
                tuple(left_behind(checkpoint.path, checkpoint.files)), gaussian, stamps, described)
