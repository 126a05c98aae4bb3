"""The format of a compressed model: a Hugging Face folder whose shards hold packed streams beside ordinary tensors.

``config.json`` is the model's own, with a ``quantization_config``: ``quant_method`` "seedlm", ``version`` 1, ``format``
(``c,p,k[,coef_bits]`` or its name), ``mode``, ``exponent_bias`` ("auto" or "off"), ``bus_bits`` and ``lanes`` of the
order of the streams, and ``job``, a digest of all that the result depends on.

A shard is a safetensors file. A compressed tensor ``NAME`` is stored as the tensor ``NAME.seedlm``: U8, one dimension,
exactly the weight image for the default bus (:mod:`host.packing.stream`), at a multiple of 64 bytes in the file. What
it means is JSON under the same name in the shard's metadata: ``format``, ``shape`` (rows and columns of weights),
``exponent_bias``, ``dtype`` (before compression), ``error`` (relative, Frobenius norm) and ``sha256`` (of the stream).
Every other tensor is as it was.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from golden.block import CompressedMatrix
from golden.spec import BlockFormat, FormatError, parse_seedlm
from host.checkpoint.safetensors_file import SafetensorsFiles
from host.checkpoint.shards import Content, Located, tensors_of
from host.errors import UserError
from host.packing import decode
from host.packing.image import StoredMatrix
from host.packing.stream import group_bytes, lanes, stream_bytes, unpack_rows

__all__ = ["METHOD", "SUFFIX", "VERSION", "CompressedFiles", "CompressedTensor", "is_compressed",
           "open_compressed"]

SUFFIX = ".seedlm"
"""What the name of a compressed tensor has behind it in the shard."""
METHOD = "seedlm"
"""The ``quant_method`` of a compressed folder."""
VERSION = 1
"""Version of the format, which :func:`open_compressed` compares."""


@dataclass(frozen=True)
class CompressedTensor:
    """What is known of a compressed tensor without reading its stream; the module describes the fields."""

    format: str
    shape: tuple[int, int]
    exponent_bias: int
    dtype: str
    error: float
    sha256: str

    @property
    def fmt(self) -> BlockFormat:
        """The block format."""
        return parse_seedlm(self.format)

    @cached_property
    def stream_bytes(self) -> int:
        """Size of the stream in bytes."""
        return stream_bytes(self.fmt, self.shape)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for one weight, including what pads rows and columns."""
        return 8 * self.stream_bytes / (self.shape[0] * self.shape[1])

    def to_json(self) -> str:
        """Return the text that the shard's metadata holds."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "CompressedTensor":
        """Read the text of :meth:`to_json`. ValueError, TypeError or KeyError when it is something else."""
        tensor = cls(**json.loads(text))
        rows, cols = tensor.shape
        if tensor.stream_bytes <= 0 or not all(isinstance(n, int) and n > 0 for n in (rows, cols)):
            raise ValueError("an impossible shape")
        return cls(**{**asdict(tensor), "shape": (rows, cols)})


def is_compressed(folder: Path) -> bool:
    """Whether a folder says that it holds a model in this format."""
    try:
        return json.loads((folder / "config.json").read_bytes())["quantization_config"]["quant_method"] == METHOD
    except (OSError, ValueError, KeyError, TypeError):
        return False


class CompressedFiles:
    """A compressed folder as a source of weights.

    Members
    -------
    tensors : dict
        Shape and storage type of every tensor, by its original name. Of a compressed tensor the type is its format.
    compressed : dict
        The compressed tensors, by their original names.
    files : list of Path
        The shards.

    Raises
    ------
    UserError
        When a shard is missing, incomplete or does not hold what its metadata says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._plain = SafetensorsFiles(path)
        self.files = self._plain.files
        self.compressed: dict[str, CompressedTensor] = {}
        self._streams: dict[str, Located] = {}
        for file in self.files:
            held, metadata = tensors_of(file)
            for key, place in held.items():
                if not key.endswith(SUFFIX):
                    continue
                name = key.removesuffix(SUFFIX)
                try:
                    tensor = CompressedTensor.from_json(metadata[key])
                except (ValueError, TypeError, KeyError) as error:
                    raise UserError(f"{file} does not say how {name} is compressed ({type(error).__name__}): compress "
                                    "the model again") from error
                if place.dtype != "U8" or place.size != tensor.stream_bytes:
                    raise UserError(f"{name} in {file} has {place.size} bytes of {place.dtype} where its shape and "
                                    f"format need {tensor.stream_bytes} of U8: compress the model again")
                self.compressed[name], self._streams[name] = tensor, place
        self.tensors: dict[str, tuple[tuple[int, ...], str]] = {
            name.removesuffix(SUFFIX): entry for name, entry in self._plain.tensors.items()}
        for name, tensor in self.compressed.items():
            self.tensors[name] = (tensor.shape, tensor.format)

    def held(self, file: Path) -> list[str]:
        """Return the original names of the tensors in one of the files."""
        return [key.removesuffix(SUFFIX) for key in tensors_of(file)[0]]

    @property
    def settings(self) -> dict[str, Any]:
        """The ``quantization_config`` of ``config.json``."""
        return self.config()["quantization_config"]

    def config(self) -> dict[str, Any]:
        """Return the content of ``config.json``."""
        return self._plain.config()

    def raw(self, name: str) -> Content:
        """Return a tensor that was not compressed, as it is stored."""
        return self._plain.raw(name)

    def stream(self, name: str) -> np.ndarray:
        """Map the stream of a compressed tensor from its file: uint8, 1-D, read-only."""
        place = self._streams[name]
        return np.memmap(place.path, np.uint8, "r", place.start, (place.size,))

    def verify(self, name: str) -> None:
        """Compare a stream with its digest.

        Raises
        ------
        UserError
            When they differ.
        """
        found = hashlib.sha256(self.stream(name).data).hexdigest()
        if found != self.compressed[name].sha256:
            raise UserError(f"the stream of {name} in {self._streams[name].path} has digest {found[:12]}, not "
                            f"{self.compressed[name].sha256[:12]}: the file is damaged, compress or download it again")

    def matrix(self, name: str, rows: slice = slice(None)) -> CompressedMatrix:
        """Return a compressed tensor, or some of its rows, in golden's form.

        Raises
        ------
        UserError
            When the stream holds what no encoder writes.
        """
        tensor, side = self.compressed[name], lanes(self.compressed[name].fmt)
        start, stop, _ = rows.indices(tensor.shape[0])
        # The stream can be cut between groups of rows only: whole groups are read, and rows before `start` dropped.
        first, size = start // side * side, group_bytes(tensor.fmt, tensor.shape[1])
        content = self.stream(name)[first // side * size:-(-stop // side) * size]
        try:
            whole = unpack_rows(content, tensor.fmt, (stop - first, tensor.shape[1]), tensor.exponent_bias)
        except ValueError as error:
            raise UserError(f"the stream of {name} in {self._streams[name].path} is damaged ({error}): compress or "
                            "download it again") from error
        skip = start - first
        return CompressedMatrix(tensor.fmt, (stop - start, tensor.shape[1]), whole.seeds[skip:],
                                whole.exponents[skip:], whole.coefs[skip:], tensor.exponent_bias)

    def stored(self, name: str, rows: slice) -> StoredMatrix:
        """As :meth:`matrix`, after a comparison with the digest, and with the stream when all rows are asked for."""
        self.verify(name)
        matrix, tensor = self.matrix(name, rows), self.compressed[name]
        return StoredMatrix(matrix.fmt, matrix.shape, matrix.seeds, matrix.exponents, matrix.coefs,
                            matrix.exponent_bias, self.stream(name) if matrix.shape == tensor.shape else None,
                            tensor.error)

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Read rows of a tensor, which are decompressed if need be: float32."""
        if name in self.compressed:
            return decode.weights(self.matrix(name, rows)).astype(np.float32)
        return self._plain.read(name, rows)


def open_compressed(path: Path) -> CompressedFiles:
    """Open a compressed folder.

    Raises
    ------
    UserError
        When it is no such folder, is damaged, or was written by a later version.
    """
    if not is_compressed(path):
        raise UserError(f"{path} holds no model compressed by this program: make one with host compress")
    files = CompressedFiles(path)
    try:
        version = files.settings["version"]
        parse_seedlm(files.settings["format"])
    except (KeyError, TypeError, FormatError) as error:
        raise UserError(f"the quantization_config of {path} is damaged ({error}): compress the model again") from error
    if version != VERSION:
        raise UserError(f"{path} is of version {version}, and this program reads version {VERSION}: update it")
    return files
