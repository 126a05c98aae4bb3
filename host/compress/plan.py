"""What a compression will do: which tensors, in which shards, in which slices; :mod:`host.compress.planner` decides."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, get_args

from golden.layout import StreamLayout
from golden.spec import BlockFormat, parse_seedlm
from golden.tree import source_digest
from host.checkpoint.container import METHOD
from host.checkpoint.digests import Stamp
from host.checkpoint.manifest import MIXED, VERSION
from host.checkpoint.stacks import matrix_shape
from host.encoder.encoder import Mode
from host.errors import UserError
from host.packing.stream import group_bytes, lanes, stream_bytes

__all__ = ["Options", "Plan", "Shard", "Slice", "Target", "encoder_digest", "tensor_key"]


@dataclass(frozen=True)
class Options:
    """How to compress.

    Parameters
    ----------
    format : str
        As :func:`golden.spec.parse_seedlm` takes it. Where there is a budget, it means nothing.
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
        Empty for the processors, or PyTorch devices, separated by commas, such as ``cuda`` or ``cuda:0,cuda:1``, which
        may choose other seeds of equal error. All errors count alike on these.
    bits : float, optional
        A budget: each matrix gets one of ``formats``, so that all of them together have so many stored bits for a
        weight at most. Default: there is one format, and every matrix has it.
    formats : str
        Two formats or more, separated by blanks, that a budget chooses from.
    device_memory : float
        GB of the memory of each device that a search may take, about, and 0.6 beside. The result does not depend on it.

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
    bits: float | None = None
    formats: str = "seedlm3 seedlm4"
    device_memory: float = 7

    def __post_init__(self) -> None:
        for what, value, legal in (("mode", self.mode, get_args(Mode)), ("bias", self.bias, ("auto", "off"))):
            if value not in legal:
                raise UserError(f"{what} must be {', '.join(legal[:-1])} or {legal[-1]}, not {value!r}")
        for what, size in (("slice", self.slice_weights), ("shard", self.shard_bytes)):
            if size < 1:
                raise UserError(f"the {what} size must be at least 1, not {size}")
        if self.bits is not None and not 0 < self.bits < inf:
            raise UserError(f"a budget must be a number of bits above 0, not {self.bits:g}: give one such as 3.5")
        if len(set(self.devices)) < len(self.devices) or not all(self.devices):
            raise UserError(f"devices must be names, each once, not {self.device!r}: give some such as cuda:0,cuda:1")
        if len(self.devices) > 1 and "cuda" in self.devices:
            raise UserError(f"several devices are told by their numbers, and cuda in {self.device!r} has none: give "
                            "some such as cuda:0,cuda:1")
        if not self.device_memory > 0:
            raise UserError(f"the memory of a device must be more than 0 GB, not {self.device_memory:g}")

    @property
    def devices(self) -> tuple[str, ...]:
        """The PyTorch devices; none for the processors."""
        return tuple(self.device.split(",")) if self.device else ()

    @property
    def portable(self) -> "Options":
        """The same with kinds of devices: which of a kind search, how many, and in what memory, makes no difference to
        the result."""
        return replace(self, device=",".join(sorted({device.partition(":")[0] for device in self.devices})),
                       device_memory=Options.device_memory)

    @property
    def fmt(self) -> BlockFormat:
        """The block format, where there is one."""
        return parse_seedlm(self.format)

    @property
    def block_formats(self) -> dict[str, BlockFormat]:
        """The block formats that matrices may have by their names, those of fewer bits first.

        Raises
        ------
        UserError
            When there is a budget, and not two formats to choose from.
        golden.spec.FormatError
            When one of them does not exist.
        """
        if self.bits is None:
            return {self.fmt.name: self.fmt}
        found = {fmt.name: fmt for fmt in sorted(map(parse_seedlm, self.formats.split()),
                                                 key=lambda fmt: fmt.bits_per_weight)}
        if len(found) < 2:
            raise UserError(f"a budget of {self.bits:g} bits needs formats to choose from, and {self.formats!r} names "
                            f"{len(found)}: give two or more, such as --formats 'seedlm3 seedlm4', or leave out --bits")
        return found


@dataclass(frozen=True)
class Slice:
    """Rows from ``start`` up to, but not including, ``stop`` of a tensor's matrix.

    ``key`` is a digest of the tensor's name, shape, order and type, and of the format that a budget has chosen for it
    (:func:`tensor_key`). Together with the work that a journal belongs to (:attr:`Plan.work`), it says all that the
    slice depends on.
    """

    key: str
    tensor: str
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Name of its file in the journal, until its shard is written."""
        return f"{self.key}-{self.start:07d}.slice"


def tensor_key(name: str, shape: tuple[int, ...], transposed: bool, dtype: str, chosen: str = "") -> str:
    """Return a digest that tells a tensor of a model from all others, and from itself in another order.

    Parameters
    ----------
    chosen : str
        The tensor's format, where a budget has chosen it. Where there is one format, the work names it.
    """
    known = [name, shape, transposed, dtype, *([chosen] if chosen else [])]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Target:
    """A tensor to be compressed: its name, its shape and whether its matrices are transposed
    (:mod:`host.checkpoint.stacks`), its safetensors type, the slices of its matrix in order, and its block format."""

    name: str
    shape: tuple[int, ...]
    transposed: bool
    dtype: str
    slices: tuple[Slice, ...]
    fmt: BlockFormat

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix that is compressed."""
        return matrix_shape(self.shape, self.transposed)

    @property
    def stream_bytes(self) -> int:
        """Bytes of its stream."""
        return stream_bytes(self.fmt, self.matrix_shape)

    def blocks(self, part: Slice) -> int:
        """Return the number of blocks in one of its slices."""
        return (part.stop - part.start) * -(-self.matrix_shape[1] // self.fmt.c)

    def slice_bytes(self, part: Slice) -> int:
        """Return the bytes of the stream of one of its slices."""
        return -(-(part.stop - part.start) // lanes(self.fmt)) * group_bytes(self.fmt, self.matrix_shape[1])

    def described(self) -> dict[str, Any]:
        """Return what digests say of it: all but its format, which the options name, or the keys of its slices."""
        return {key: value for key, value in asdict(self).items() if key != "fmt"}


@dataclass(frozen=True)
class Shard:
    """One file of the result: the tensors to be compressed, and the names of those to be copied as they are."""

    file: str
    targets: tuple[Target, ...]
    copies: tuple[str, ...]

    def described(self) -> dict[str, Any]:
        """Return what digests say of it."""
        return {"file": self.file, "targets": [target.described() for target in self.targets],
                "copies": list(self.copies)}


@dataclass(frozen=True)
class Plan:
    """Everything to be done.

    ``output_bytes`` is the size of all tensors of the result. ``fingerprint`` is a digest that tells the checkpoint
    from others. ``padded`` names the tensors whose number of columns is no multiple of ``c``. ``left_out`` names the
    tensors that match the patterns but are no matrices, or have fewer columns than a block. ``weighting`` is the
    folder of channel weights, if any. ``extras`` are the files of the model that are copied along, by the names that
    they will have (:mod:`host.checkpoint.carried`). ``left_behind`` names the files of other weights, which are not
    copied. ``gaussian`` is the relative error of a block of Gaussian weights in the mode, by the name of the format.
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
    gaussian: dict[str, float]
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
        known = [self._stated(()), self.fingerprint, list(self.extras),
                 [shard.described() for shard in self.shards], *self._calibrated]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    @property
    def work(self) -> str:
        """Digest of what all slices depend on, except the encoder's program: a run goes on with the slices of another
        one if this is the same. Which tensors are compressed, into which shards, and under which budget, makes no
        difference to a slice, except that calibration looks at what the compressed tensors before it make of its input.
        """
        same = self._stated(("include", "exclude", "shard_bytes", *(
            () if self.options.bits is None else ("bits", "formats"))))
        known = [same, self.fingerprint, list(self.extras), *self._calibrated]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    @property
    def program(self) -> str:
        """Digest of the program that encodes."""
        return encoder_digest(self.calibration is not None)

    @property
    def _calibrated(self) -> list[Any]:
        """What a calibration adds to all that slices depend on."""
        if not self.calibration:
            return []
        if self.options.bits is not None:
            return [self.calibration, sorted((target.name, target.fmt.name) for target in self.targets)]
        return [self.calibration, sorted(target.name for target in self.targets)]

    def _stated(self, but: tuple[str, ...]) -> dict[str, Any]:
        """Return the options without some of them, and without those that mean nothing."""
        meaningless = ("device_memory", *(("bits", "formats") if self.options.bits is None else ("format",)))
        return {key: value for key, value in asdict(self.options.portable).items() if key not in (*but, *meaningless)}

    @property
    def formats(self) -> dict[str, list[Target]]:
        """The tensors by the name of their format, in the order of the options; formats that none has are left out."""
        of = {name: [target for target in self.targets if target.fmt.name == name]
              for name in self.options.block_formats}
        return {name: targets for name, targets in of.items() if targets}

    @property
    def settings(self) -> dict[str, Any]:
        """The ``quantization_config`` of the result; see :mod:`host.checkpoint.container`."""
        options, aware = self.options, self.weighting is not None or self.calibration is not None
        stated = {name: (StreamLayout(targets[0].fmt), self.gaussian[name]) for name, targets in self.formats.items()}
        first, gaussian = next(iter(stated.values()))
        made = {"mode": options.mode, "exponent_bias": options.bias, "bus_bits": first.bus_bits}
        if options.bits is None:
            how = {"format": options.fmt.name, **made, "lanes": first.lanes, "activation_aware": aware,
                   "gaussian_error": gaussian}
        else:
            how = {"format": MIXED, **made, "activation_aware": aware, "bits": options.bits,
                   "formats": {name: {"lanes": layout.lanes, "gaussian_error": error}
                               for name, (layout, error) in stated.items()}}
        return {"quant_method": METHOD, "version": VERSION, **how, "job": self.job,
                **({"calibration": self.calibration} if self.calibration else {})}


def encoder_digest(calibrated: bool = False) -> str:
    """Return a digest of the encoders' sources: results of different encoders must not be mixed in one model."""
    return source_digest("host.encoder.encoder", "host.encoder.torch_encoder",
                         *(["host.feedback.feedback"] if calibrated else []))
