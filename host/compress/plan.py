"""What a compression will do: which tensors, in which shards, in which slices; :mod:`host.compress.planner` decides."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from golden.layout import StreamLayout
from golden.spec import BlockFormat, parse_seedlm
from golden.tree import source_digest
from host.checkpoint.container import METHOD
from host.checkpoint.digests import Stamp
from host.checkpoint.manifest import VERSION
from host.checkpoint.stacks import matrix_shape
from host.encoder.encoder import Mode
from host.errors import UserError
from host.packing.stream import group_bytes, lanes
from host.regular_file import open_regular

__all__ = ["Options", "Plan", "Shard", "Slice", "Target", "encoder_digest", "tensor_key", "weighting_file"]


@dataclass(frozen=True)
class Options:
    """How to compress.

    Parameters
    ----------
    format : str
        As :func:`golden.spec.parse_seedlm` takes it.
    mode : {"exact", "paper", "printed"}
        How the encoder chooses coefficients; see :mod:`host.encoder.encoder`.
    bias : {"auto", "off"}
        "auto" gives each tensor an exponent bias that suits its weights; "off" is the paper's format, without one.
    include, exclude : tuples of glob patterns
        Matrices whose names match one of the first and none of the second are compressed. Where there is nothing in
        ``include``, it stands for the matrices that the model's family names (:mod:`host.checkpoint.families`).
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
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    slice_weights: int = 1 << 20
    shard_bytes: int = 1 << 30
    device: str = ""

    def __post_init__(self) -> None:
        for what, value, legal in (("mode", self.mode, get_args(Mode)), ("bias", self.bias, ("auto", "off"))):
            if value not in legal:
                raise UserError(f"{what} must be {', '.join(legal[:-1])} or {legal[-1]}, not {value!r}")
        for what, size in (("slice", self.slice_weights), ("shard", self.shard_bytes)):
            if size < 1:
                raise UserError(f"the {what} size must be at least 1, not {size}")

    @property
    def fmt(self) -> BlockFormat:
        """The block format."""
        return parse_seedlm(self.format)


@dataclass(frozen=True)
class Slice:
    """Rows from ``start`` up to, but not including, ``stop`` of a tensor's matrix.

    ``key`` is a digest of the tensor's name, shape, order and type (:func:`tensor_key`). Together with the work that a
    journal belongs to (:attr:`Plan.work`), it says all that the slice depends on.
    """

    key: str
    tensor: str
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Name of its file in the journal, until its shard is written."""
        return f"{self.key}-{self.start:07d}.slice"


def tensor_key(name: str, shape: tuple[int, ...], transposed: bool, dtype: str) -> str:
    """Return a digest that tells a tensor of a model from all others, and from itself in another order."""
    return hashlib.sha256(json.dumps([name, shape, transposed, dtype]).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Target:
    """A tensor to be compressed: its name, its shape and whether its matrices are transposed
    (:mod:`host.checkpoint.stacks`), its safetensors type, and the slices of its matrix in order."""

    name: str
    shape: tuple[int, ...]
    transposed: bool
    dtype: str
    slices: tuple[Slice, ...]

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix that is compressed."""
        return matrix_shape(self.shape, self.transposed)

    def blocks(self, fmt: BlockFormat, part: Slice) -> int:
        """Return the number of blocks in one of its slices."""
        return (part.stop - part.start) * -(-self.matrix_shape[1] // fmt.c)

    def slice_bytes(self, fmt: BlockFormat, part: Slice) -> int:
        """Return the bytes of the stream of one of its slices."""
        return -(-(part.stop - part.start) // lanes(fmt)) * group_bytes(fmt, self.matrix_shape[1])


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
    tensors that match the patterns but are no matrices, or have fewer columns than a block. ``weighting`` is the
    folder of channel weights, if any. ``extras`` are the files of the model that are copied along, by the names that
    they will have (:mod:`host.checkpoint.carried`). ``left_behind`` names the files of other weights, which are not
    copied. ``gaussian`` is the relative error of a block of Gaussian weights in the format and mode.
    ``sources`` are all files that the result depends on, as they were before the fingerprint was taken.
    ``calibration`` says which text the model was calibrated with (:mod:`host.calibrate.calibration`), if it was.
    """

    options: Options
    shards: tuple[Shard, ...]
    output_bytes: int
    fingerprint: str
    padded: tuple[str, ...]
    left_out: tuple[str, ...]
    weighting: Path | None
    extras: dict[str, Stamp]
    left_behind: tuple[str, ...]
    gaussian: float
    sources: tuple[Stamp, ...]
    calibration: dict[str, Any] | None = None

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
        known = [asdict(self.options), self.fingerprint, list(self.extras),
                 [asdict(shard) for shard in self.shards], *self._calibrated]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    @property
    def work(self) -> str:
        """Digest of what all slices depend on, except the encoder's program: a run goes on with the slices of another
        one if this is the same. Which tensors are compressed, and into which shards, makes no difference to a slice,
        except that calibration looks at what the compressed tensors before it make of its input.
        """
        same = {key: value for key, value in asdict(self.options).items()
                if key not in ("include", "exclude", "shard_bytes")}
        known = [same, self.fingerprint, list(self.extras), *self._calibrated]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    @property
    def program(self) -> str:
        """Digest of the program that encodes."""
        return encoder_digest(self.calibration is not None)

    @property
    def _calibrated(self) -> list[Any]:
        """What a calibration adds to all that slices depend on."""
        return [self.calibration, sorted(target.name for target in self.targets)] if self.calibration else []

    @property
    def settings(self) -> dict[str, Any]:
        """The ``quantization_config`` of the result; see :mod:`host.checkpoint.container`."""
        options, layout = self.options, StreamLayout(self.options.fmt)
        return {"quant_method": METHOD, "version": VERSION, "format": options.fmt.name, "mode": options.mode,
                "exponent_bias": options.bias, "bus_bits": layout.bus_bits, "lanes": layout.lanes,
                "activation_aware": self.weighting is not None or self.calibration is not None,
                "gaussian_error": self.gaussian, "job": self.job,
                **({"calibration": self.calibration} if self.calibration else {})}

    def channel_weights(self, name: str) -> np.ndarray | None:
        """Return the channel weights of a tensor, float64, or None when it has none.

        Raises
        ------
        UserError
            When its file is no ``.npy`` file of numbers.
        """
        path = weighting_file(self.weighting, name) if self.weighting else None
        if path is None:
            return None
        open_regular(path, "save the vector with numpy.save").close()
        try:
            # A mapping cannot be longer than the file, whatever the header announces.
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            if found.dtype.kind not in "iuf" or found.ndim != 1:
                raise ValueError(f"it holds {found.dtype} of shape {found.shape}")
            return found.astype(np.float64)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path} is no .npy file of numbers ({error}): save the vector with numpy.save") from error


def weighting_file(folder: Path, name: str) -> Path | None:
    """Return the file of the channel weights of a tensor in a folder of them, or None when there is none.

    The name of a tensor may be anything, such as a path out of the folder, which is not looked at.
    """
    file = f"{name}.npy"
    return folder / file if os.path.basename(file) == file and os.path.lexists(folder / file) else None


def encoder_digest(calibrated: bool = False) -> str:
    """Return a digest of the encoders' sources: results of different encoders must not be mixed in one model."""
    return source_digest("host.encoder.encoder", "host.encoder.torch_encoder",
                         *(["host.feedback.feedback"] if calibrated else []))
