"""Plans a compression. All bytes of the checkpoint are read once, for a digest that tells it from others."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np

from golden.spec import BlockFormat
from host.calibrate.calibration import Calibration
from host.checkpoint.carried import carried, left_behind, stored_name
from host.checkpoint.checkpoint import Checkpoint
from host.checkpoint.digests import Stamp, content_digest
from host.checkpoint.manifest import SUFFIX
from host.checkpoint.shard_names import shard_names
from host.compress.budget import Offer, choose_formats, require_budget
from host.compress.harm import harms
from host.compress.plan import Options, Plan, Shard, Slice, Target, tensor_key
from host.compress.slices import block_errors
from host.compress.weighting import weighting_file
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


def _slices(options: Options, fmt: BlockFormat, key: str, name: str, shape: tuple[int, int],
            sharing: int) -> tuple[Slice, ...]:
    """Cut a tensor into slices of whole groups of rows, of ``sharing`` rows or more, whose streams can be joined byte
    by byte."""
    side = lanes(fmt)
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


def _try_encoder(options: Options, fmt: BlockFormat) -> float:
    """Return the relative error of a block of Gaussian weights. A fault of format, compiler or device shows before the
    work begins."""
    trial = np.random.default_rng(0).normal(0, _USUAL, (_TRIALS, fmt.c)).astype(np.float32)
    bias: Literal["auto"] | int = "auto" if options.bias == "auto" else 0
    if options.devices:
        matrix, *_ = [encode_torch(trial, fmt, options.mode, exponent_bias=bias, device=device)
                      for device in options.devices]
    else:
        matrix = encode(trial, fmt, options.mode, exponent_bias=bias)
    error, blocks = block_errors(trial.astype(np.float64), matrix)
    return float(f"{(error / blocks) ** 0.5:.4g}")  # the last digits differ from processor to processor


def _wanted(checkpoint: Checkpoint, options: Options) -> set[str]:
    """Return the names of the tensors that the options ask to be compressed."""
    checkpoint.require_usual(not options.include)
    included = {name for name in checkpoint.names() if any(fnmatchcase(name, glob) for glob in options.include)}
    if not options.include or _DEFAULT in options.include:
        included.update(checkpoint.compressible())
    return {name for name in included if not any(fnmatchcase(name, glob) for glob in options.exclude)}


def _compressed(checkpoint: Checkpoint, options: Options) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of the tensors that are compressed, and of those that match but are no matrices, or matrices
    narrower than a block."""
    found, left_out, wanted = list[str](), list[str](), _wanted(checkpoint, options)
    widest = max(fmt.c for fmt in options.block_formats.values())
    for name in checkpoint.names():
        if name.endswith(SUFFIX):
            raise UserError(f"tensor {name} of {checkpoint.path} is compressed already: give the original checkpoint")
        if name not in wanted:
            continue
        stated = checkpoint.shape(name)
        # With rows shorter than a block, as kernels of convolutions have them, a tensor would become larger.
        if len(stated) > 1 and all(stated) and checkpoint.matrix_shape(name)[1] >= widest:
            checkpoint.read(name, slice(1))  # refuses a tensor of integers now, not after hours
            found.append(name)
        else:
            left_out.append(name)
    if not found:
        asked = f"matches {' '.join(options.include)}" if options.include else "is compressed by default"
        raise UserError(f"no matrix in {checkpoint.path} {asked}: give patterns with --include; the first names are "
                        f"{', '.join(checkpoint.names()[:3])}")
    return found, tuple(left_out)


def _target(checkpoint: Checkpoint, options: Options, name: str, fmt: BlockFormat, sharing: int) -> Target:
    """Return a tensor that gets a format. Its slices have ``sharing`` rows or more."""
    shape, transposed, dtype = checkpoint.shape(name), checkpoint.transposed(name), checkpoint.dtype(name)
    key = tensor_key(name, shape, transposed, dtype, "" if options.bits is None else fmt.name)
    slices = _slices(options, fmt, key, name, checkpoint.matrix_shape(name), sharing)
    return Target(name, shape, transposed, dtype, slices, fmt)


@dataclass(frozen=True)
class _Budget:
    """Stored bits of the matrices in each format, by their names, and of all that they may store together."""

    sizes: dict[str, dict[str, int]]
    most: int


def _budget(checkpoint: Checkpoint, options: Options, names: list[str]) -> _Budget | None:
    """Return the budget, or None without one. UserError when no mixture is within it."""
    if options.bits is None:
        return None
    sizes = {name: {key: 8 * stream_bytes(fmt, checkpoint.matrix_shape(name))
                    for key, fmt in options.block_formats.items()} for name in names}
    return _Budget(sizes, require_budget(options.bits, sizes, sum(math.prod(checkpoint.shape(name)) for name in names)))


def _formats(checkpoint: Checkpoint, options: Options, names: list[str], budget: _Budget | None,
             weighting: Path | None, calibration: Calibration | None, fingerprint: str,
             measuring: Update) -> dict[str, BlockFormat]:
    """Return the format of each tensor. Arguments and errors are those of :func:`host.compress.harm.harms`."""
    formats = options.block_formats
    if budget is None:
        return dict.fromkeys(names, options.fmt)
    harm = harms(checkpoint, names, options, weighting, calibration, fingerprint, measuring)
    chosen = choose_formats({name: [Offer(key, size, harm[name][key]) for key, size in own.items()]
                             for name, own in budget.sizes.items()}, budget.most)
    return {name: formats[key] for name, key in chosen.items()}


def _weighting_files(weighting: Path | None, targets: list[str], names: list[str]) -> list[Path]:
    """Return the files of channel weights of tensors of these names; UserError when the folder has none for any of the
    targets, which are compressed."""
    if weighting is None:
        return []
    found = [path for name in names if (path := weighting_file(weighting, name))]
    if not any(weighting_file(weighting, target) for target in targets):
        raise UserError(f"{weighting} holds channel weights of no tensor that is compressed: name them as in "
                        f"{targets[0]}.npy")
    return found


def make_plan(checkpoint: Checkpoint, options: Options, weighting: Path | None = None,
              reading: Update = no_progress, calibration: Calibration | None = None,
              measuring: Update = no_progress) -> Plan:
    """Plan the compression of a checkpoint.

    Parameters
    ----------
    weighting : Path, optional
        A folder of ``NAME.npy``, which are channel weights of tensors.
    reading : Update
        As for :func:`host.checkpoint.digests.digests`, while the bytes of the model are read for its fingerprint.
    calibration : Calibration, optional
        The text that the model is calibrated with.
    measuring : Update
        Called while the errors are measured that a choice of formats under a budget rests on.

    Raises
    ------
    UserError
        When the checkpoint is quantised already, nothing matches, format and mode do not go together, the encoder
        cannot be built, no mixture of formats is within the budget, or its choice cannot be made.
    FormatError
        When there is no such format.
    """
    if quantized := checkpoint.config().get("quantization_config"):
        method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized
        raise UserError(f"{checkpoint.path} is quantised already ({method}): give the original checkpoint")
    gaussian = {key: _try_encoder(options, fmt) for key, fmt in options.block_formats.items()}
    described = calibration.described() if calibration else None
    compressed, left_out = _compressed(checkpoint, options)
    budget = _budget(checkpoint, options, compressed)  # what is impossible is refused before all bytes are read
    # Everything that the result depends on: a run with other bytes must not go on with this one's slices.
    names = carried(checkpoint.path)
    config = checkpoint.path / "config.json"
    sources = [*checkpoint.files, *([config] if os.path.isfile(config) else []), *(checkpoint.path / n for n in names),
               *_weighting_files(weighting, compressed, checkpoint.names())]
    stamps = tuple(map(Stamp.of, sources))
    fingerprint = content_digest(sources, reading)
    formats = _formats(checkpoint, options, compressed, budget, weighting, calibration, fingerprint, measuring)
    parts = [_target(checkpoint, options, name, formats[name], _SHARING if calibration else 0) if name in formats
             else name for name in checkpoint.names()]
    contents = [(checkpoint.raw(part).size if isinstance(part, str) else part.stream_bytes, part) for part in parts]
    groups = list(_shards(contents, options.shard_bytes))
    shards = tuple(Shard(file, tuple(targets), tuple(copies))
                   for file, (targets, copies) in zip(shard_names(len(groups)), groups, strict=True))
    padded = tuple(part.name for part in parts if isinstance(part, Target) and part.matrix_shape[1] % part.fmt.c)
    stamp_of = {stamp.path: stamp for stamp in stamps}
    return Plan(options, shards, sum(size for size, _ in contents), fingerprint, padded, left_out, weighting,
                {stored_name(name): stamp_of[checkpoint.path / name] for name in names},
                tuple(left_behind(checkpoint.path, checkpoint.files)), gaussian, stamps, described)
