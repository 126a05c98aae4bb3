"""What a compression will do: which tensors, in which shards, in which slices.

To plan, only headers and a few samples of the checkpoint are read.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from golden.layout import StreamLayout
from golden.spec import BlockFormat, parse_seedlm
from golden.tree import source_digest
from host.checkpoint.checkpoint import Checkpoint
from host.checkpoint.container import METHOD, SUFFIX, VERSION
from host.encoder.encoder import Mode, encode
from host.encoder.torch_encoder import encode_torch
from host.errors import UserError
from host.packing.stream import lanes, stream_bytes

__all__ = ["LINEAR_LAYERS", "Options", "Plan", "Shard", "Slice", "Target", "encoder_digest", "make_plan"]

LINEAR_LAYERS = ("*_proj.weight",)
"""Glob patterns that match the linear layers of Llama-like models."""

_SAMPLES, _SAMPLE_BYTES = 64, 4096  # pieces of each file that go into the fingerprint of a checkpoint, and their size


@dataclass(frozen=True)
class Options:
    """How to compress.

    Parameters
    ----------
    format : str
        As :func:`golden.spec.parse_seedlm` takes it.
    mode : {"exact", "paper"}
        How the encoder chooses coefficients; see :mod:`host.encoder.encoder`.
    bias : {"auto", "off"}
        "auto" gives each tensor an exponent bias that suits its weights; "off" is the paper's format, without one.
    include, exclude : tuples of glob patterns
        Matrices whose names match one of the first and none of the second are compressed.
    slice_weights : int
        Weights in a slice, about. A finished slice is never lost.
    shard_bytes : int
        Size of a file of the result, about.
    device : str
        Empty for the processors, or a PyTorch device such as ``cuda``, which may choose other seeds of equal error.

    Raises
    ------
    UserError
        When a value is out of its range. Whether ``format`` exists is checked when it is used.
    """

    format: str = "seedlm4"
    mode: Mode = "exact"
    bias: str = "auto"
    include: tuple[str, ...] = LINEAR_LAYERS
    exclude: tuple[str, ...] = ()
    slice_weights: int = 1 << 20
    shard_bytes: int = 1 << 30
    device: str = ""

    def __post_init__(self) -> None:
        for what, value, legal in (("mode", self.mode, ("exact", "paper")), ("bias", self.bias, ("auto", "off"))):
            if value not in legal:
                raise UserError(f"{what} must be {' or '.join(legal)}, not {value!r}")
        for what, size in (("slice", self.slice_weights), ("shard", self.shard_bytes)):
            if size < 1:
                raise UserError(f"the {what} size must be at least 1, not {size}")

    @property
    def fmt(self) -> BlockFormat:
        """The block format."""
        return parse_seedlm(self.format)


@dataclass(frozen=True)
class Slice:
    """Rows from ``start`` up to, but not including, ``stop`` of a tensor, which is the plan's target of this number."""

    target: int
    tensor: str
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Name of its file in the journal, until its shard is written."""
        return f"{self.target:05d}-{self.start:07d}.slice"


@dataclass(frozen=True)
class Target:
    """A tensor to be compressed: its name, (rows, columns), safetensors type, and slices in order."""

    name: str
    shape: tuple[int, int]
    dtype: str
    slices: tuple[Slice, ...]

    def blocks(self, fmt: BlockFormat, part: Slice) -> int:
        """Return the number of blocks in one of its slices."""
        return (part.stop - part.start) * -(-self.shape[1] // fmt.c)


@dataclass(frozen=True)
class Shard:
    """One file of the result: the tensors to be compressed, and the names of those to be copied as they are."""

    file: str
    targets: tuple[Target, ...]
    copies: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Everything to be done.

    ``output_bytes`` is the size of all tensors of the result. ``fingerprint`` is a digest that tells the checkpoint
    from others. ``padded`` names the tensors whose number of columns is no multiple of ``c``. ``left_out`` names the
    tensors that match the patterns but are no matrices. ``weighting`` is the folder of channel weights, if any.
    """

    options: Options
    shards: tuple[Shard, ...]
    output_bytes: int
    fingerprint: str
    padded: tuple[str, ...]
    left_out: tuple[str, ...]
    weighting: Path | None

    @property
    def targets(self) -> list[Target]:
        """All tensors to be compressed."""
        return [target for shard in self.shards for target in shard.targets]

    @property
    def job(self) -> str:
        """Digest of all that the result depends on, except the encoder's program.

        The program is left out because a finished folder is still good after the encoder has changed. Only an
        unfinished folder must not be continued by another encoder, which the journal checks.
        """
        known = [asdict(self.options), self.fingerprint, [asdict(shard) for shard in self.shards]]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    @property
    def settings(self) -> dict[str, Any]:
        """The ``quantization_config`` of the result; see :mod:`host.checkpoint.container`."""
        options, layout = self.options, StreamLayout(self.options.fmt)
        return {"quant_method": METHOD, "version": VERSION, "format": options.fmt.name, "mode": options.mode,
                "exponent_bias": options.bias, "bus_bits": layout.bus_bits, "lanes": layout.lanes,
                "activation_aware": self.weighting is not None, "job": self.job}

    def channel_weights(self, name: str) -> np.ndarray | None:
        """Return the channel weights of a tensor, float64, or None when it has none.

        Raises
        ------
        UserError
            When its file is no ``.npy`` file of numbers.
        """
        path = self.weighting / f"{name}.npy" if self.weighting else None
        if path is None or not path.exists():
            return None
        try:
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path} is no .npy file of numbers ({error}): save the vector with numpy.save") from error


def encoder_digest() -> str:
    """Return a digest of the encoders' sources: results of different encoders must not be mixed in one model."""
    return source_digest("host.encoder.encoder", "host.encoder.torch_encoder")


def _fingerprint(files: list[Path]) -> str:
    """Return a digest of the files' names, sizes and samples from all over them.

    This tells one checkpoint from another without reading hundreds of gigabytes.
    """
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for i in range(_SAMPLES):
                file.seek(size * i // _SAMPLES)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _slices(options: Options, number: int, name: str, shape: tuple[int, int]) -> tuple[Slice, ...]:
    """Cut a tensor into slices of whole groups of rows, whose streams can be joined byte by byte."""
    side = lanes(options.fmt)
    step = max(options.slice_weights // (shape[1] * side), 1) * side
    return tuple(Slice(number, name, start, min(start + step, shape[0])) for start in range(0, shape[0], step))


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


def _try_encoder(options: Options, weighting: Path | None) -> None:
    """Encode one block of zeros, so that a fault of format, compiler or device shows before the work begins."""
    trial = np.zeros((1, options.fmt.c), dtype=np.float32)
    if not options.device:
        encode(trial, options.fmt, options.mode)
    elif weighting:
        raise UserError("channel weights need the encoder for processors: leave out the weighting or the device")
    else:
        encode_torch(trial, options.fmt, options.mode, device=options.device)


def _matches(name: str, options: Options) -> bool:
    """Whether the patterns ask for a tensor of this name to be compressed."""
    return any(fnmatchcase(name, glob) for glob in options.include) and not any(
        fnmatchcase(name, glob) for glob in options.exclude)


def _contents(checkpoint: Checkpoint, options: Options) -> tuple[list[tuple[int, Target | str]], tuple[str, ...]]:
    """List what the result holds, and the names that match but are no matrices.

    Of each tensor there is its size in bytes in the result, and the target or, if it is copied, its name.
    """
    contents: list[tuple[int, Target | str]] = []
    left_out, number = [], 0
    for name in checkpoint.names():
        if name.endswith(SUFFIX):
            raise UserError(f"tensor {name} of {checkpoint.path} is compressed already: give the original checkpoint")
        content, wanted = checkpoint.raw(name), _matches(name, options)
        if wanted and len(content.shape) == 2 and all(content.shape):
            shape = (content.shape[0], content.shape[1])
            checkpoint.read(name, slice(1))  # refuses a tensor of integers now, not after hours
            target = Target(name, shape, checkpoint.dtype(name), _slices(options, number, name, shape))
            contents.append((stream_bytes(options.fmt, shape), target))
            number += 1
        else:
            contents.append((content.size, name))
            if wanted:
                left_out.append(name)
    if not number:
        raise UserError(f"no matrix in {checkpoint.path} matches {' '.join(options.include)}: give patterns with "
                        f"--include; the first names are {', '.join(checkpoint.names()[:3])}")
    return contents, tuple(left_out)


def _weighting_files(weighting: Path | None, targets: list[Target]) -> list[Path]:
    """Return the files of channel weights that there are; UserError when the folder has none for any tensor."""
    if weighting is None:
        return []
    possible = [weighting / f"{target.name}.npy" for target in targets]
    found = [path for path in possible if path.exists()]
    if not found:
        raise UserError(f"{weighting} holds channel weights of no tensor that is compressed: name them as in "
                        f"{possible[0].name}")
    return found


def make_plan(checkpoint: Checkpoint, options: Options, weighting: Path | None = None) -> Plan:
    """Plan the compression of a checkpoint.

    Parameters
    ----------
    weighting : Path, optional
        A folder of ``NAME.npy``, which are channel weights of tensors.

    Raises
    ------
    UserError
        When the checkpoint is quantised already, nothing matches, format and mode do not go together, or the encoder
        cannot be built.
    FormatError
        When there is no such format.
    """
    fmt = options.fmt
    method = (checkpoint.config().get("quantization_config") or {}).get("quant_method")
    if method:
        raise UserError(f"{checkpoint.path} is quantised already ({method}): give the original checkpoint")
    _try_encoder(options, weighting)
    contents, left_out = _contents(checkpoint, options)
    groups = list(_shards(contents, options.shard_bytes))
    # The names that Hugging Face's loaders look for.
    names = ["model.safetensors"] if len(groups) == 1 else [
        f"model-{i + 1:05d}-of-{len(groups):05d}.safetensors" for i in range(len(groups))]
    shards = tuple(Shard(file, tuple(targets), tuple(copies))
                   for file, (targets, copies) in zip(names, groups, strict=True))
    targets = [target for shard in shards for target in shard.targets]
    # Channel weights change the result, so a run with others must not go on with this one's slices.
    fingerprint = _fingerprint([*checkpoint.files, *_weighting_files(weighting, targets)])
    padded = tuple(target.name for target in targets if target.shape[1] % fmt.c)
    return Plan(options, shards, sum(size for size, _ in contents), fingerprint, padded, left_out, weighting)
