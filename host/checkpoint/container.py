"""A compressed model: a Hugging Face folder whose shards hold packed streams beside ordinary tensors.

The folder holds ``config.json`` and all other small files of the model, shards, and a manifest
(:mod:`host.checkpoint.manifest`), which says what the tensors mean and what the digest of every file is. In
``config.json``, ``quantization_config`` repeats the manifest's settings: ``quant_method`` "seedlm", ``version`` 3,
``format`` (``c,p,k[,coef_bits]`` or its name), ``mode``, ``exponent_bias`` ("auto" or "off"), ``bus_bits`` and
``lanes`` of the order of the streams, and ``job``, a digest of all that the result depends on. In a folder that was
made for a budget, ``format`` is "mixed", ``bits`` is the budget, and ``formats`` says ``lanes`` of each format.

A shard is a safetensors file. A compressed tensor ``NAME`` is stored as the tensor ``NAME.seedlm``: U8, one dimension,
exactly the weight image for the default bus (:mod:`host.packing.stream`), at a multiple of 64 bytes in the file. Every
other tensor is as it was. Nothing is taken from a shard's metadata, which other tools rewrite.

Every file and every tensor is compared with its digest before it is used. Opening a folder compares the manifest with
its own digest and the headers of the shards with the manifest.
"""

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from golden.block import CompressedMatrix
from host.checkpoint.digests import digests
from host.checkpoint.integrity import examine, unlike
from host.checkpoint.manifest import MANIFEST, SUFFIX, VERSION, Manifest, read_manifest
from host.checkpoint.own_files import require_own_files
from host.checkpoint.shards import FLOATS, Content, Located, copied, flattened, floats, tensors_of
from host.checkpoint.stacks import turned
from host.checkpoint.unfinished import require_finished
from host.errors import UserError
from host.json_reader import read_json
from host.packing import decode
from host.packing.image import StoredMatrix
from host.packing.stream import group_bytes, lanes, unpack_rows

__all__ = ["METHOD", "NOTE", "NOTE_KEY", "CompressedFiles", "is_compressed", "open_compressed"]

METHOD = "seedlm"
"""The ``quant_method`` of a compressed folder."""
NOTE_KEY = "transformers_weights"
"""The field of ``config.json`` in which transformers looks for the name of a file of weights before all others
(``_get_resolved_checkpoint_files`` of src/transformers/modeling_utils.py)."""
NOTE = ("this folder is compressed, and transformers would load random numbers. Run `pip install '.[hf]'` in a "
        "checkout of seedlm-fpga and `import host.hf` before from_pretrained(folder, variant=\"seedlm\"), or turn it "
        "back with `seedlm-fpga decompress`")
"""What stands there in a compressed folder. As it is no name of a file, transformers stops and prints it."""


def _declared(folder: Path) -> dict[str, Any]:
    """Return the ``quantization_config`` of a folder whose config says that this program compressed it, or nothing."""
    try:
        config = read_json(folder / "config.json", "download it again").get("quantization_config")
        settings = config.object() if config else {}
    except UserError:
        return {}
    return settings if settings.get("quant_method") == METHOD else {}


def is_compressed(folder: Path) -> bool:
    """Whether a folder holds a model in this format, in any version, damaged or not."""
    return (folder / MANIFEST).is_file() or bool(_declared(folder))


class CompressedFiles:
    """A compressed folder as a source of weights.

    Members
    -------
    manifest : Manifest
        What the folder says of itself.
    tensors : dict
        Shape and storage type of every tensor, by its original name. Of a compressed tensor the type is its format.
    compressed : dict
        The compressed tensors, by their original names.
    files : list of Path
        The shards.

    Raises
    ------
    UserError
        When the manifest is damaged, or a shard is missing or does not hold what the manifest says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: Manifest = read_manifest(path)
        self.compressed = self.manifest.tensors
        self.files = [path / name for name in self.manifest.shards]
        self.tensors: dict[str, tuple[tuple[int, ...], str]] = {}
        self._places: dict[str, Located] = {}
        self._checked: set[str] = set()
        for name, entry in self.manifest.shards.items():
            if not (path / name).is_file():
                raise UserError(f"shard {name}, which {path / MANIFEST} lists, is missing: copy or download it into "
                                "the same folder")
            held = tensors_of(path / name)
            if fault := unlike(held, entry):
                raise UserError(f"{path / name} is damaged ({fault}): copy or download it again, or compress the model "
                                "again")
            self._places |= held
            for stored in entry.tensors:
                original = stored.removesuffix(SUFFIX)
                tensor = self.compressed.get(original)
                self.tensors[original] = ((tensor.shape, tensor.format) if tensor else
                                          (held[stored].shape, held[stored].dtype))

    @property
    def total_bytes(self) -> int:
        """The bytes of all files that the manifest lists, and of the manifest itself."""
        listed = (*self.manifest.files.values(), *(shard.digest for shard in self.manifest.shards.values()))
        return sum(digest.bytes for digest in listed) + len(self.manifest.text().encode())

    def held(self, file: Path) -> list[str]:
        """Return the original names of the tensors in one of the files."""
        return [stored.removesuffix(SUFFIX) for stored in self.manifest.shards[file.name].tensors]

    def check(self, names: list[str]) -> list[str]:
        """Compare files and shards of these names with the manifest, and return a sentence for every shard that
        another tool has written without changing a tensor.

        Raises
        ------
        UserError
            When one is missing, changed or damaged.
        """
        found = examine(self.path, self.manifest, names)
        found.refuse(self.path)
        for name in names:
            if name in self.manifest.shards:
                self._checked.update(self.manifest.shards[name].tensors)
        return found.notices(self.path)

    def _stored_name(self, name: str) -> str:
        """Return the name of a tensor in its shard."""
        return name + SUFFIX if name in self.compressed else name

    def _place(self, name: str) -> Located:
        """Return where a tensor is stored, after a comparison of its bytes with their digest.

        Raises
        ------
        UserError
            When they differ.
        """
        stored = self._stored_name(name)
        place = self._places[stored]
        if stored not in self._checked:
            [found], wanted = digests([place.range]), self.sha256(name)
            if found != wanted:
                raise UserError(f"tensor {name} in {place.path} has digest {found[:12]}, not {wanted[:12]}: the file "
                                "is damaged, copy or download it again, or compress the model again")
            self._checked.add(stored)
        return place

    def sha256(self, name: str) -> str:
        """Return the digest that the bytes of a tensor must have, in hexadecimal digits."""
        stored = self._stored_name(name)
        return self.manifest.shards[self.manifest.shard_of[stored]].tensors[stored].sha256

    @cached_property
    def _config(self) -> dict[str, Any]:
        self.check(["config.json"])
        return read_json(self.path / "config.json", "copy or download it again").object()

    def config(self) -> dict[str, Any]:
        """Return the content of ``config.json``. UserError when it is not the file that the manifest describes."""
        return self._config

    def raw_size(self, name: str) -> int:
        """Return the size of a tensor in bytes as :meth:`raw` gives it."""
        return self._places[self._stored_name(name)].size

    def raw(self, name: str) -> Content:
        """Return a tensor that was not compressed, as it is stored. Its pieces raise UserError when it is damaged."""
        place = self._places[self._stored_name(name)]
        return Content(name, place.dtype, place.shape, place.size, lambda: copied(self._place(name)))

    def stream(self, name: str) -> np.ndarray:
        """Map the stream of a compressed tensor from its file: uint8, 1-D, read-only.

        Raises
        ------
        UserError
            When it does not have its digest.
        """
        place = self._place(name)
        return np.memmap(place.path, np.uint8, "r", place.start, (place.size,))

    def matrix(self, name: str, rows: slice = slice(None)) -> CompressedMatrix:
        """Return the matrix of a compressed tensor, or some of its rows, in golden's form.

        Raises
        ------
        UserError
            When the stream does not have its digest, or holds what no encoder writes.
        """
        tensor, side = self.compressed[name], lanes(self.compressed[name].fmt)
        height, width = tensor.matrix_shape
        start, stop, _ = rows.indices(height)
        # The stream can be cut between groups of rows only: whole groups are read, and rows before `start` dropped.
        first, size = start // side * side, group_bytes(tensor.fmt, width)
        content = self.stream(name)[first // side * size:-(-stop // side) * size]
        try:
            whole = unpack_rows(content, tensor.fmt, (stop - first, width), tensor.exponent_bias)
        except ValueError as error:
            raise UserError(f"the stream of {name} in {self._places[name + SUFFIX].path} is damaged ({error}): "
                            "compress the model again") from error
        skip = start - first
        return CompressedMatrix(tensor.fmt, (stop - start, width), whole.seeds[skip:],
                                whole.exponents[skip:], whole.coefs[skip:], tensor.exponent_bias)

    def stored(self, name: str, rows: slice) -> StoredMatrix:
        """As :meth:`matrix`, with the stream when all rows are asked for."""
        matrix, tensor = self.matrix(name, rows), self.compressed[name]
        return StoredMatrix(matrix.fmt, matrix.shape, matrix.seeds, matrix.exponents, matrix.coefs,
                            matrix.exponent_bias, error=tensor.error,
                            stream=self.stream(name) if matrix.shape == tensor.matrix_shape else None)

    def decoded(self, name: str, kind: str, start: int, stop: int) -> np.ndarray:
        """Decompress rows of a tensor as it was before compression, with the rows of a stack one below another.

        Parameters
        ----------
        kind : str
            The type to return, a key of :data:`host.checkpoint.shards.FLOATS`. A weight beyond it becomes infinite.

        Raises
        ------
        UserError
            When the stream does not have its digest, or holds what no encoder writes.
        """
        def read(first: int, last: int) -> np.ndarray:
            with np.errstate(over="ignore"):
                return decode.weights(self.matrix(name, slice(first, last))).astype(FLOATS[kind])

        tensor = self.compressed[name]
        if not tensor.transposed:
            return read(start, stop)
        return turned(read, (*tensor.shape[:-2], tensor.shape[-1], tensor.shape[-2]), start, stop)

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Read rows of a tensor, which are decompressed if need be: float32.

        Raises
        ------
        UserError
            When the tensor is damaged, or holds anything but floats of 16 bits or more.
        """
        if name in self.compressed:
            first, *others = self.compressed[name].shape
            start, stop, _ = rows.indices(first)
            below = math.prod(others[:-1])  # rows of the stack for each element of the first dimension
            return self.decoded(name, "F32", start * below, stop * below).reshape(-1, *others)
        return floats(self._float_place(name), rows)

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Read rows of a tensor of floats with two or more dimensions that is not compressed, with the rows of a stack
        one below another: float32. UserError as :meth:`read`."""
        return floats(flattened(self._float_place(name)), slice(start, stop))

    def _float_place(self, name: str) -> Located:
        """Return where a tensor of floats is stored. UserError as :meth:`read`."""
        place = self._place(name)
        if place.dtype not in FLOATS:
            raise UserError(f"tensor {name} in {self.path} is stored as {place.dtype}, integers or quantised already: "
                            "choose a tensor of floats")
        return place


def open_compressed(path: Path) -> CompressedFiles:
    """Open a compressed folder.

    Raises
    ------
    UserError
        When it is no such folder, is unfinished or damaged, or was written by another version.
    """
    require_own_files(path)
    if (path / MANIFEST).is_file():
        return CompressedFiles(path)
    require_finished(path)
    version = _declared(path).get("version")
    if version is None:
        raise UserError(f"{path} holds no model compressed by this program: make one with "
                        "`seedlm-fpga compress`")
    if version != VERSION:
        raise UserError(f"{path} is of version {version}, in which not every byte has a digest, and this program reads "
                        f"version {VERSION}: compress the model again")
    raise UserError(f"{path / MANIFEST} is missing: copy or download the whole folder again, or compress the model "
                    "again")
