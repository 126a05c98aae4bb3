"""The header of a GGUF file: its settings, and where its tensors lie.

The layout is that of the specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3 in
little-endian order. Every size that the file announces is compared with the file before anything is made of it. Values
are passed over and only those that are asked for are turned into objects, so that a vocabulary costs a walk and no
memory. What a header may hold is limited besides, as each tensor and each key costs some hundred bytes.
"""

import math
import mmap
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from host.checkpoint.refusals import refuse_file
from host.errors import UserError
from host.regular_file import open_regular

__all__ = ["CURE", "GgufHeader", "GgufTensor", "read_header", "read_value"]

T = TypeVar("T")

CURE = "download it again"

_MOST = 1 << 15
"""Keys, and tensors, of a file. The largest model with a public GGUF file has some 2,000 tensors and 60 keys."""
_NAME_BYTES = 256  # of a tensor's name or a key; llama.cpp takes names of 63 bytes
_TEXT_BYTES = 1 << 16  # of a text that is asked for
_LONG_TEXT = 1 << 22  # of a text that is read by itself; chat templates have some 20,000 bytes
_ELEMENTS = 1 << 12  # of an array that is asked for; there are arrays of one number for each layer
_ENTRIES = 1 << 21  # of a vocabulary, or of its merges; the largest public ones have some 500,000
_LONGEST = 1 << 40  # of a dimension: NumPy fails far beyond it, even where another dimension is zero
_DIMS = 4  # GGML_MAX_DIMS of ggml.h
_DEPTH = 4  # arrays in one another
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
"""Formats of :mod:`struct` by the number of the type, which ``gguf_metadata_value_type`` of the specification has."""
_SIZES = {kind: struct.calcsize(form) for kind, form in _SCALARS.items()}
_KINDS = {int(kind): (kind, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()}
"""By its number: a type of tensors, the elements of one of its blocks, and the bytes of one."""
_PLACES = tuple(struct.Struct(f"<{dims}QIQ") for dims in range(_DIMS + 1))
"""By the number of dimensions, what follows it: the dimensions, fastest first, the type, and where the data begin."""
_ALIGNMENT = 32  # of the tensors, unless general.alignment says otherwise


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where a tensor is stored.

    Parameters
    ----------
    kind : GGMLQuantizationType
        How its elements are stored.
    shape : tuple of int
        The slowest dimension first, as NumPy has it; a matrix is (outputs, inputs).
    start, size : int
        First byte in the file, and size in bytes.
    """

    kind: GGMLQuantizationType
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class GgufHeader:
    """What a file says of itself.

    Parameters
    ----------
    values : dict
        Of the keys that were asked for and are there, the values: numbers, texts, truth values, or lists of them.
    tensors : dict of GgufTensor
        The tensors by the names in the file.
    keys : dict of (int, int)
        All keys that are there, each with the type of its value and the byte at which the value begins.
    """

    values: dict[str, Any]
    tensors: dict[str, GgufTensor]
    keys: dict[str, tuple[int, int]]


class _Foreign(Exception):
    """A file that may be whole but is of a kind that is not read. The text completes "the file is ..." and names the
    cure."""


class _Walk:
    """A walk over the bytes of a header; ValueError where they do not follow the specification."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.size, self.at = data, len(data), 0

    def scalar(self, form: str) -> Any:
        """Return a value of a format of :mod:`struct`, and go on behind it."""
        start = self.skip(struct.calcsize(form))
        return struct.unpack_from(form, self.data, start)[0]

    def skip(self, size: int) -> int:
        """Go on behind ``size`` bytes, and return where they begin."""
        start = self.at
        if size > self.size - start:
            raise ValueError("the file ends too early")
        self.at = start + size
        return start

    def text(self, most: int) -> str:
        """Return a text of at most ``most`` bytes, and go on behind it."""
        start = self.skip(8)
        length = int.from_bytes(self.data[start:start + 8], "little")
        start = self.skip(length)
        if length > most:
            raise ValueError(f"a text of {length} bytes where {most} are enough")
        return self.data[start:start + length].decode("utf-8")

    def pass_over(self, kind: int, depth: int = 0) -> None:
        """Go on behind a value of a type."""
        if kind in _SIZES:
            self.skip(_SIZES[kind])
        elif kind == _STRING:
            self.skip(self.scalar("<Q"))
        elif kind == _ARRAY and depth < _DEPTH:
            inner, count = self.scalar("<I"), self.scalar("<Q")
            if inner in _SIZES:
                self.skip(_SIZES[inner] * count)
            elif inner == _STRING:
                self._pass_over_texts(count)
            elif count > self.size - self.at:  # each takes more than a byte
                raise ValueError("the file ends too early")
            else:
                for _ in range(count):
                    self.pass_over(inner, depth + 1)
        else:
            raise ValueError(f"a value of type {kind}" if kind != _ARRAY else f"arrays nested more than {_DEPTH} deep")

    def _pass_over_texts(self, count: int) -> None:
        """Go on behind so many texts. The loop is as lean as it can be, as vocabularies have hundreds of thousands."""
        length_at, data, at, last = struct.Struct("<Q").unpack_from, self.data, self.at, self.size - 8
        for _ in range(count):
            if at > last:
                raise ValueError("the file ends too early")
            at += 8 + length_at(data, at)[0]
        if at > self.size:
            raise ValueError("the file ends too early")
        self.at = at

    def value(self, kind: int) -> Any:
        """Return a value of a type, and go on behind it."""
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _STRING:
            return self.text(_TEXT_BYTES)
        inner, count = self.scalar("<I"), self.scalar("<Q")
        if inner not in _SCALARS or count > _ELEMENTS:
            raise ValueError(f"an array of {count} values of type {inner} where a few numbers are enough")
        return [self.scalar(_SCALARS[inner]) for _ in range(count)]


def _settings(walk: _Walk, count: int) -> dict[str, tuple[int, int]]:
    """Walk over the settings, and return the type of each and where its value begins."""
    found: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        key, kind = walk.text(_NAME_BYTES), walk.scalar("<I")
        if key in found:
            raise ValueError(f"the key {key} is there twice")
        found[key] = kind, walk.at
        walk.pass_over(kind)
    return found


def _tensors(walk: _Walk, count: int, alignment: int) -> dict[str, GgufTensor]:
    """Walk over the tensors' headers, and return where they are stored."""
    found: dict[str, GgufTensor] = {}
    for _ in range(count):
        name, dims = walk.text(_NAME_BYTES), walk.scalar("<I")
        if name in found:
            raise ValueError(f"the tensor {name} is there twice")
        if dims > _DIMS:
            raise ValueError(f"the tensor {name} has {dims} dimensions")
        form = _PLACES[dims]
        *sizes, number, offset = form.unpack_from(walk.data, walk.skip(form.size))
        row = sizes[0] if sizes else 1
        if number not in _KINDS:
            raise _Foreign(f"a GGUF file whose tensor {name} is of type {number}, which this program does not know: "
                           "convert it with llama-quantize to F16 or Q8_0")
        kind, block, block_bytes = _KINDS[number]
        if row % block:
            raise ValueError(f"the tensor {name} has rows of {row}, no multiple of {block}")
        if max(sizes, default=0) > _LONGEST:
            raise ValueError(f"the tensor {name} has a dimension of {max(sizes)}")
        if offset % alignment:
            raise ValueError(f"the tensor {name} is not aligned to {alignment} bytes")
        found[name] = GgufTensor(kind, tuple(reversed(sizes)), offset, math.prod(sizes) // block * block_bytes)
    return found


def _placed(tensors: dict[str, GgufTensor], start: int, size: int) -> dict[str, GgufTensor]:
    """Return tensors with their place in a file of ``size`` bytes whose data begin at ``start``; none may overlap."""
    end, before = 0, ""
    for first, length, name in sorted((tensor.start, tensor.size, name) for name, tensor in tensors.items()):
        if start + first + length > size:
            raise ValueError(f"the file ends before the tensor {name} does")
        if length and first < end:
            raise ValueError(f"the tensors {before} and {name} overlap")
        if length:
            end, before = first + length, name
    return {name: GgufTensor(tensor.kind, tensor.shape, start + tensor.start, tensor.size)
            for name, tensor in tensors.items()}


def _parse(data: mmap.mmap, asked: tuple[str, ...]) -> GgufHeader:
    """Return the header of a mapped file; see :func:`read_header`. ValueError when it is none."""
    walk = _Walk(data)
    if data[walk.skip(4):4] != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    version = walk.scalar("<I")
    if version & 0xffff == 0 and version:
        raise _Foreign("a GGUF file in big-endian order: turn it around with gguf-py's gguf_convert_endian.py, or "
                       "download one for little-endian machines")
    if version not in (2, 3):
        raise _Foreign(f"a GGUF file of version {version}, and versions 2 and 3 are read: convert the model again with "
                       "a current llama.cpp, or download a newer file")
    tensor_count, key_count = walk.scalar("<Q"), walk.scalar("<Q")
    for what, count in (("keys", key_count), ("tensors", tensor_count)):
        if count > min(_MOST, len(data) // 12):
            raise ValueError(f"it announces {count} {what}")
    settings = _settings(walk, key_count)
    after = walk.at
    values = {}

    def value(key: str) -> Any:
        kind, walk.at = settings[key]
        try:
            return walk.value(kind)
        except ValueError as error:
            raise ValueError(f"the key {key} has {error}") from error

    architecture = value("general.architecture") if "general.architecture" in settings else None
    for key in asked:
        key = key.replace("ARCHITECTURE", str(architecture))
        if key in settings:
            values[key] = value(key)
    alignment = value("general.alignment") if "general.alignment" in settings else _ALIGNMENT
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 16 or alignment & (alignment - 1):
        raise ValueError(f"its tensors are aligned to {alignment} bytes")
    walk.at = after
    tensors = _tensors(walk, tensor_count, alignment)
    return GgufHeader(values, _placed(tensors, walk.at + -walk.at % alignment, len(data)), settings)


def read_header(path: Path, asked: tuple[str, ...]) -> GgufHeader:
    """Read the header of a file.

    Parameters
    ----------
    asked : tuple of str
        Keys whose values are wanted. ``ARCHITECTURE`` in one stands for the value of ``general.architecture``.

    Raises
    ------
    UserError
        When the file is not a complete GGUF file of version 2 or 3.
    """
    def parse(data: mmap.mmap) -> GgufHeader:
        if data[:4] != b"GGUF":
            refuse_file(path, data[:64])  # also the pointers of Git LFS beside the part of a split model that was given
        return _parse(data, asked)

    return _mapped(path, parse)


def read_value(path: Path, header: GgufHeader, key: str) -> Any:
    """Read a setting that may be longer than those of :func:`read_header`: a number, a truth value, a text, or a list
    of them, as a vocabulary is.

    Parameters
    ----------
    header : GgufHeader
        The file's, which has the key.

    Raises
    ------
    UserError
        When the setting is longer than any that is known, a list of lists, or the file can no longer be read.
    """
    def parse(data: mmap.mmap) -> Any:
        walk = _Walk(data)
        kind, walk.at = header.keys[key]
        if kind != _ARRAY:
            return walk.text(_LONG_TEXT) if kind == _STRING else walk.scalar(_SCALARS[kind])
        inner, count = walk.scalar("<I"), walk.scalar("<Q")
        if inner != _STRING and inner not in _SCALARS:
            raise ValueError(f"the key {key} is no list of numbers or texts")
        if count > min(_ENTRIES, walk.size - walk.at):
            raise ValueError(f"the key {key} is a list of {count} values where {_ENTRIES} are enough")
        return [walk.text(_TEXT_BYTES) if inner == _STRING else walk.scalar(_SCALARS[inner]) for _ in range(count)]

    return _mapped(path, parse)


def _mapped(path: Path, parse: Callable[[mmap.mmap], T]) -> T:
    """Return what ``parse`` makes of a file's bytes. UserError when it raises ValueError or :class:`_Foreign`."""
    with open_regular(path, CURE) as file:
        try:
            if not os.fstat(file.fileno()).st_size:
                raise ValueError("it is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return parse(data)
        except _Foreign as foreign:
            raise UserError(f"{path} is {foreign}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is not a complete GGUF file ({error}): {CURE}") from error
