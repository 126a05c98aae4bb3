"""What a compression will do: which tensors, in which shards, in which slices. Nothing is read but headers."""

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
"""The linear layers of Llama-like models."""

_SAMPLES, _SAMPLE_BYTES = 64, 4096


@dataclass(frozen=True)
class Options:
    """How to compress.

    Parameters
    ----------
    format : str
        As :func:`golden.spec.parse_seedlm` takes it.
    mode : {"exact", "paper"}
    bias : {"auto", "off"}
        Exponent bias by tensor; off is the paper's format.
    include, exclude : tuples of glob patterns
        Matrices whose names match one of the first and none of the second are compressed.
    slice_weights : int
        Weights in a slice, the unit of work that is never lost.
    shard_bytes : int
        Size at which a shard is closed.
    device : str
        Empty for the processors, or a PyTorch device such as ``cuda``, which may choose other seeds of equal error.
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
    """Rows ``start`` to ``stop`` of the tensor of number ``target`` in the plan."""

    target: int
    tensor: str
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Name of its file while the shard is not written."""
        return f"{self.target:05d}-{self.start:07d}.slice"


@dataclass(frozen=True)
class Target:
    """A tensor to be compressed."""

    name: str
    shape: tuple[int, int]
    dtype: str
    slices: tuple[Slice, ...]

    def blocks(self, fmt: BlockFormat, part: Slice) -> int:
        """Blocks in one of its slices."""
        return (part.stop - part.start) * -(-self.shape[1] // fmt.c)


@dataclass(frozen=True)
class Shard:
    """One file of the result: tensors to be compressed, and names of those to be copied."""

    file: str
    targets: tuple[Target, ...]
    copies: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Everything to be done.

    ``padded`` names tensors whose width is no multiple of ``c``; ``left_out`` those that match but are no matrices;
    ``weighting`` is the folder of channel weights, if any.
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
        """Digest of all that the result depends on, but for the encoder's program."""
        known = [asdict(self.options), self.fingerprint, [asdict(shard) for shard in self.shards]]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    @property
    def settings(self) -> dict[str, Any]:
        """The ``quantization_config``."""
        options, layout = self.options, StreamLayout(self.options.fmt)
        return {"quant_method": METHOD, "version": VERSION, "format": options.fmt.name, "mode": options.mode,
                "exponent_bias": options.bias, "bus_bits": layout.bus_bits, "lanes": layout.lanes,
                "activation_aware": self.weighting is not None, "job": self.job}

    def channel_weights(self, name: str) -> np.ndarray | None:
        """Channel weights of a tensor; none when it has none.

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
    """Digest of the program whose results must not be mixed with those of another."""
    return source_digest("host.encoder.encoder", "host.encoder.torch_encoder")


def _fingerprint(files: list[Path]) -> str:
    """Digest of the files' sizes and of samples from all over them: enough to tell one checkpoint from another."""
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
    side = lanes(options.fmt)
    step = max(options.slice_weights // (shape[1] * side), 1) * side
    return tuple(Slice(number, name, start, min(start + step, shape[0])) for start in range(0, shape[0], step))


def _shards(parts: list[tuple[int, Target | str]], limit: int) -> Iterator[tuple[list[Target], list[str]]]:
    """Tensors in order, cut into shards of about ``limit`` bytes."""
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


def make_plan(checkpoint: Checkpoint, options: Options, weighting: Path | None = None) -> Plan:
    """Plan the compression of a checkpoint; ``weighting`` is a folder of ``NAME.npy``, channel weights of tensors.

    Raises
    ------
    UserError
        When it is quantised already, nothing matches, the format and mode do not go together, or the encoder cannot
        be built.
    FormatError
        When there is no such format.
    """
    fmt = options.fmt
    method = (checkpoint.config().get("quantization_config") or {}).get("quant_method")
    if method:
        raise UserError(f"{checkpoint.path} is quantised already ({method}): give the original checkpoint")
    trial = np.zeros((1, fmt.c), dtype=np.float32)  # says now what is wrong with format, compiler or device
    if not options.device:
        encode(trial, fmt, options.mode)
    elif weighting:
        raise UserError("channel weights need the encoder for processors: leave out the weighting or the device")
    else:
        encode_torch(trial, fmt, options.mode, device=options.device)
    parts: list[tuple[int, Target | str]] = []
    padded, left_out, number = [], [], 0
    for name in checkpoint.names():
        wanted = any(fnmatchcase(name, glob) for glob in options.include) and not any(
            fnmatchcase(name, glob) for glob in options.exclude)
        content = checkpoint.raw(name)
        if wanted and len(content.shape) == 2 and all(content.shape):
            shape = (content.shape[0], content.shape[1])
            checkpoint.read(name, slice(1))  # refuses integers
            target = Target(name, shape, checkpoint.dtype(name), _slices(options, number, name, shape))
            parts.append((stream_bytes(fmt, shape), target))
            number += 1
            if shape[1] % fmt.c:
                padded.append(name)
        else:
            parts.append((content.size, name))
            if wanted:
                left_out.append(name)
        if name.endswith(SUFFIX):
            raise UserError(f"tensor {name} of {checkpoint.path} is compressed already: give the original checkpoint")
    if not number:
        raise UserError(f"no matrix in {checkpoint.path} matches {' '.join(options.include)}: give patterns with "
                        f"--include; the first names are {', '.join(checkpoint.names()[:3])}")
    groups = list(_shards(parts, options.shard_bytes))
    names = ["model.safetensors"] if len(groups) == 1 else [
        f"model-{i + 1:05d}-of-{len(groups):05d}.safetensors" for i in range(len(groups))]
    weights_of = [weighting / f"{part.name}.npy" for _, part in parts if isinstance(part, Target)] if weighting else []
    found = [path for path in weights_of if path.exists()]
    if weighting and not found:
        raise UserError(f"{weighting} holds channel weights of no tensor that is compressed: name them as in "
                        f"{weights_of[0].name}")
    shards = tuple(Shard(file, tuple(targets), tuple(copies))
                   for file, (targets, copies) in zip(names, groups, strict=True))
    return Plan(options, shards, sum(size for size, _ in parts), _fingerprint([*checkpoint.files, *found]),
                tuple(padded), tuple(left_out), weighting)
