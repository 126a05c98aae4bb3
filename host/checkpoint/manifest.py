"""The manifest of a compressed folder, ``seedlm.json``: what its tensors mean, and a digest of every byte.

It is a JSON object with these fields:

- ``version``: 3.
- ``settings``: how the model was compressed, which is also the ``quantization_config`` of ``config.json``. Where its
  tensors have several formats, ``format`` is "mixed", and ``formats`` has for each format its ``lanes`` and its
  ``gaussian_error``, which otherwise are settings themselves.
- ``program``: a digest of the encoder's sources.
- ``files``: every file of the folder that is no shard. Each name, a path with ``/`` between folders, is mapped to
  ``bytes`` and ``sha256``.
- ``shards``: every safetensors file. Each name is mapped to ``bytes``, ``sha256`` and ``tensors``, where the name of
  every tensor in the file is mapped to ``dtype``, ``shape`` and ``sha256`` of its bytes.
- ``tensors``: what compressed tensors mean. Each original name is mapped to ``format``, ``shape`` and ``transposed``
  (the tensor's shape before compression, and whether its matrices were turned around;
  :mod:`host.checkpoint.stacks`), ``exponent_bias``, ``dtype`` (before compression), ``error`` (relative, Frobenius
  norm) and ``block_error`` (root of the mean over all blocks of their relative squared errors).
- ``sha256``: the digest of the text of all other fields.

The digest is of the bytes of the file before it, closed by a line end and a bracket, so no bit can change unnoticed.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from golden.layout import StreamLayout
from golden.spec import BlockFormat, FormatError, parse_seedlm
from host.checkpoint.digests import FileDigest
from host.checkpoint.durable import durable
from host.checkpoint.stacks import DIMS, matrix_shape
from host.errors import UserError
from host.json_reader import Json, parse_json, read_text
from host.packing.stream import stream_bytes

__all__ = ["BIASES", "MANIFEST", "MIXED", "SUFFIX", "VERSION", "CompressedTensor", "Manifest", "ShardEntry",
           "TensorEntry", "compressed_tensor", "read_manifest", "shard_entry"]

MANIFEST = "seedlm.json"
"""Name of the manifest in the folder."""
MIXED = "mixed"
"""What stands for a format in the settings of a folder whose tensors have several."""
SUFFIX = ".seedlm"
"""What the name of a compressed tensor has behind it in the shard."""
VERSION = 3
"""Version of the format of the folder."""

BIASES = (-2000, 2000)
"""Least and greatest exponent bias that is believed. Both are beyond the exponents of float64."""
_CURE = "copy or download the whole folder again, or remove it and compress the model again"
_END = "\n}"  # of an object's text
_NAME_BYTES = 255  # of a file's name: NAME_MAX of Linux
_RESERVED = ("", ".", "..", ".parts", MANIFEST)  # names that no file can have


@dataclass(frozen=True)
class TensorEntry:
    """A tensor as a shard holds it: its safetensors type, its shape, and the SHA-256 of its bytes."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True)
class ShardEntry:
    """A shard: the digest of the whole file, and the tensors in it by name."""

    digest: FileDigest
    tensors: dict[str, TensorEntry]

    def fields(self) -> dict[str, Any]:
        """Return what JSON says of it; :func:`shard_entry` reads it."""
        return asdict(self.digest) | {"tensors": {name: asdict(tensor) for name, tensor in self.tensors.items()}}


@dataclass(frozen=True)
class CompressedTensor:
    """What a compressed tensor means; the module describes the fields.

    Raises
    ------
    FormatError
        When there is no such format.
    """

    format: str
    shape: tuple[int, ...]
    transposed: bool
    exponent_bias: int
    dtype: str
    error: float
    block_error: float

    @cached_property
    def fmt(self) -> BlockFormat:
        """The block format."""
        return parse_seedlm(self.format)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix that is stored, which has outputs as rows."""
        return matrix_shape(self.shape, self.transposed)

    @cached_property
    def stream_bytes(self) -> int:
        """Size of the stream in bytes."""
        return stream_bytes(self.fmt, self.matrix_shape)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for one weight, including what pads rows and columns."""
        return 8 * self.stream_bytes / math.prod(self.shape)


@dataclass(frozen=True)
class Manifest:
    """The manifest of a folder; the module describes the fields.

    Members
    -------
    shard_of : dict
        The name of the shard that holds a tensor, by the tensor's name in the shard.
    """

    settings: dict[str, Any]
    program: str
    files: dict[str, FileDigest]
    shards: dict[str, ShardEntry]
    tensors: dict[str, CompressedTensor]

    @cached_property
    def shard_of(self) -> dict[str, str]:
        return {tensor: name for name, shard in self.shards.items() for tensor in shard.tensors}

    @property
    def gaussian_errors(self) -> dict[str, float]:
        """Relative error of a block of Gaussian weights in the mode, by the name of the format."""
        stated = self.settings["formats"] if self.settings["format"] == MIXED else {
            self.settings["format"]: self.settings}
        return {name: float(each["gaussian_error"]) for name, each in stated.items()}

    def text(self) -> str:
        """Return the text of the file, in which the last field is the digest of all others."""
        return _sealed({
            "version": VERSION, "settings": self.settings, "program": self.program,
            "files": {name: asdict(digest) for name, digest in sorted(self.files.items())},
            "shards": {name: shard.fields() for name, shard in self.shards.items()},
            "tensors": {name: asdict(tensor) for name, tensor in self.tensors.items()}})

    def write(self, folder: Path, part: Path) -> None:
        """Write the manifest of a folder, with :func:`host.checkpoint.durable.durable`.

        Parameters
        ----------
        part : Path
            Name of the file until it is complete.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        durable(folder / MANIFEST, part, [self.text().encode()])


def _sealed(fields: dict[str, Any]) -> str:
    """Return the text of a manifest with these fields and their digest."""
    text = json.dumps(fields, indent=1)
    return text.removesuffix(_END) + _seal(text.encode())


def _seal(text: bytes) -> str:
    """Return what stands in the file in place of the end of the text of all fields but the digest."""
    return f',\n "sha256": "{hashlib.sha256(text).hexdigest()}"\n}}\n'


def _require_seal(content: bytes, path: Path) -> None:
    """Refuse a file that does not end with the digest of the rest. UserError."""
    # The bytes are compared, not what they mean, as making their text again takes longer than all else.
    rest = content[:-len(_seal(b""))]
    if content != rest + _seal(rest + _END.encode()).encode():
        raise UserError(f"{path} does not have the digest that it gives: {_CURE}")


def _digest_text(value: Json) -> str:
    """Return a SHA-256 in hexadecimal digits."""
    text = value.text()
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        value.refuse("must be a SHA-256 in 64 hexadecimal digits")
    return text


def _file_digest(value: Json) -> FileDigest:
    """Return the digest of a file."""
    return FileDigest(value["bytes"].whole(0), _digest_text(value["sha256"]))


def shard_entry(value: Json) -> ShardEntry:
    """Return what JSON says of a shard. UserError when a field is missing or of another type."""
    tensors = {name: TensorEntry(entry["dtype"].text(), tuple(entry["shape"].wholes(0)), _digest_text(entry["sha256"]))
               for name, entry in value["tensors"].items()}
    return ShardEntry(_file_digest(value), tensors)


def _format(value: Json) -> str:
    """Return the name of a block format that exists."""
    try:
        parse_seedlm(value.text())
    except FormatError as error:
        value.refuse(f"is not as it should be: {error}")
    return value.text()


def _formats(settings: Json) -> Iterator[tuple[str, Json]]:
    """Yield the names of the formats of a folder, and what its settings say of each. UserError when one does not
    exist."""
    if settings["format"].value != MIXED:
        yield _format(settings["format"]), settings
        return
    for name, stated in settings["formats"].items():
        try:
            parse_seedlm(name)
        except FormatError as error:
            stated.refuse(f"is not as it should be: {error}")
        yield name, stated


def compressed_tensor(value: Json) -> CompressedTensor:
    """Return what JSON says of a compressed tensor. UserError when a field is missing or of another type."""
    shape = value["shape"].wholes(1)
    if not 2 <= len(shape) <= DIMS:
        value["shape"].refuse(f"must have from two to {DIMS} dimensions")
    return CompressedTensor(_format(value["format"]), tuple(shape), value["transposed"].truth(),
                            value["exponent_bias"].whole(*BIASES), value["dtype"].text(), value["error"].number(),
                            value["block_error"].number())


def _is_below(name: str) -> bool:
    """Whether a name can be that of a file in the folder or in a folder below it.

    Folders whose names begin with a dot are not looked through for links (:mod:`host.checkpoint.own_files`), so that no
    name may lead into one.
    """
    *folders, file = name.split("/")
    return (name not in _RESERVED and "\0" not in name and file not in _RESERVED and all(
        folder and not folder.startswith(".") for folder in folders) and all(
        len(part.encode()) <= _NAME_BYTES for part in (*folders, file)))


def _named(value: Json, read: Callable[[Json], Any]) -> dict[str, Any]:
    """Read the entries of an object whose keys are names of files in the folder or below it."""
    found = {}
    for name, entry in value.items():
        if not _is_below(name):
            entry.refuse("has a name that is none of a file in the folder")
        found[name] = read(entry)
    return found


def _require_agreement(manifest: Manifest, whole: Json) -> None:
    """Refuse a manifest whose parts contradict each other, or that describes streams of another order."""
    if len(manifest.shard_of) != sum(len(shard.tensors) for shard in manifest.shards.values()):
        whole["shards"].refuse("has one tensor in two shards")
    if both := manifest.files.keys() & manifest.shards.keys():
        whole["files"].refuse(f"names {min(both)}, which is a shard")
    if below := [name for name in manifest.shards if "/" in name]:
        whole["shards"].refuse(f"names {below[0]}, which is not in the folder itself")
    if "config.json" not in manifest.files:
        whole["files"].refuse("must list config.json")
    held = {name: manifest.shards[shard].tensors[name] for name, shard in manifest.shard_of.items()}
    if {name + SUFFIX for name in manifest.tensors} != {name for name in held if name.endswith(SUFFIX)}:
        whole["tensors"].refuse("has other tensors than the shards")
    if twice := manifest.tensors.keys() & held.keys():
        whole["tensors"].refuse(f"has {min(twice)}, which a shard holds uncompressed too")
    for name, tensor in manifest.tensors.items():
        stored = held[name + SUFFIX]
        if (stored.dtype, stored.shape) != ("U8", (tensor.stream_bytes,)):
            whole["tensors"][name].refuse(f"needs {tensor.stream_bytes} bytes for its shape and format, and its stream "
                                          f"has {math.prod(stored.shape)} of {stored.dtype}")
    formats = dict(_formats(whole["settings"]))
    for name, tensor in manifest.tensors.items():
        if tensor.format not in formats:
            whole["tensors"][name]["format"].refuse(f"is none of the settings' formats, {', '.join(formats)}")
    for name, stated in formats.items():
        stated["gaussian_error"].number()
        layout = StreamLayout(parse_seedlm(name))
        for value, wanted in ((whole["settings"]["bus_bits"], layout.bus_bits), (stated["lanes"], layout.lanes)):
            if value.whole() != wanted:
                value.refuse(f"must be {wanted}, the order of streams that this program reads")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder.

    Raises
    ------
    UserError
        When it cannot be read, is damaged, or is of another version.
    """
    path = folder / MANIFEST
    content = read_text(path, _CURE)
    _require_seal(content, path)
    whole = parse_json(content, path, _CURE)
    version = whole["version"].whole()
    if version != VERSION:
        cure = "compress the model again" if version < VERSION else "update it"
        raise UserError(f"{folder} is of version {version}, and this program reads version {VERSION}: {cure}")
    manifest = Manifest(whole["settings"].object(), whole["program"].text(), _named(whole["files"], _file_digest),
                        _named(whole["shards"], shard_entry),
                        {name: compressed_tensor(entry) for name, entry in whole["tensors"].items()})
    _require_agreement(manifest, whole)
    return manifest
