"""Weights of a GGUF model (llama.cpp), under their Hugging Face names and as Hugging Face's checkpoint holds them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np

from host.checkpoint.gguf_architectures import ARCHITECTURES, EXPERT, architecture_of
from host.checkpoint.gguf_config import CONVERT, KEYS, config_of
from host.checkpoint.gguf_header import CURE, GgufTensor
from host.checkpoint.gguf_rope import FACTORS
from host.checkpoint.gguf_split import read_parts
from host.checkpoint.gguf_tokenizer import VocabularyError, generation_config, read_vocabulary, tokenizer_files
from host.checkpoint.shards import Content
from host.errors import UserError
from host.regular_file import read_range

__all__ = ["GgufFile"]

_PLAIN: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_STORED: dict[str, Any] = {"F16": np.float16, "BF16": ml_dtypes.bfloat16, "F32": np.float32}
_AS_THEY_ARE = {"F16": "F16", "BF16": "BF16", "F32": "F32", "F64": "F32"}
"""By the type in the file, that of tensors that are copied. Any other type is of quantised numbers."""
_WIDE = ("MXFP4", "NVFP4", "TQ1_0", "TQ2_0")
"""Quantised types whose numbers have few digits and may be far smaller than those of F16: BF16 holds them."""
_PIECE = 1 << 22  # elements copied at a time
_EXPERTS = 4096  # of a layer; the largest public models have 512
_QUANTISE = "convert the file with llama-quantize to F16 or Q8_0"


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a Hugging Face tensor is, and what makes it of what is stored.

    Parameters
    ----------
    file : Path
        The part of the model that holds it.
    tensor : GgufTensor
        The tensor, or one expert's part of a stack.
    heads : str
        ``attention.head_count`` or ``attention.head_count_kv`` where the rows of each head are interleaved, else empty.
    offset : float
        What has been added to all elements.
    """

    file: Path
    tensor: GgufTensor
    heads: str
    offset: float


def _experts(tensor: GgufTensor) -> Iterator[GgufTensor]:
    """Yield the tensors of a stack of experts."""
    for number in range(tensor.shape[0]):
        size = tensor.size // tensor.shape[0]
        yield GgufTensor(tensor.kind, tensor.shape[1:], tensor.start + number * size, size)


class GgufFile:
    """One GGUF model, of one file or of several.

    ``tensors`` maps Hugging Face's names to (shape, storage type), and ``files`` holds the paths of all files.

    Parameters
    ----------
    path : path
        The file, or any part of a split model.

    Raises
    ------
    UserError
        When a file is missing or not complete, the architecture is not in
        :data:`host.checkpoint.gguf_architectures.ARCHITECTURES`, or a tensor belongs to no such model.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        parts = read_parts(self.path, KEYS)
        self.files = [file for file, _ in parts]
        self._header = parts[0][1]
        self._values = self._header.values
        self._name = self._values.get("general.architecture")
        if not isinstance(self._name, str):
            raise UserError(f"{self.path} does not say in general.architecture which model it is: {CURE}")
        if self._values.get("general.type", "model") != "model":
            raise UserError(f"{self.path} is no model ({self._values['general.type']} in general.type): give the GGUF "
                            "file of a whole model")
        architecture = architecture_of(self._name, self._values)
        if architecture is None:
            raise UserError(f"{self.path} is of the architecture {self._name}, and only {', '.join(ARCHITECTURES)} are "
                            f"read from GGUF files: {CONVERT}")
        self._architecture = architecture
        self._factors: dict[str, _Source] = {}
        self._sources: dict[str, _Source] = {}
        for file, header in parts:
            for name, tensor in header.tensors.items():
                self._place(file, name, tensor)
        self.tensors = {name: (source.tensor.shape, source.tensor.kind.name)
                        for name, source in self._sources.items()}

    def _place(self, file: Path, name: str, tensor: GgufTensor) -> None:
        """Take a tensor of a file under its Hugging Face name. UserError when the architecture has none such."""
        if FACTORS.get(name) in self._architecture.rope:
            self._factors[name] = _Source(file, tensor, "", 0.0)
            return
        ours = self._architecture.name_of(name)
        if ours is None:
            raise UserError(f"{self.path} has a tensor {name}, which no {self._name} that is read from GGUF files "
                            f"has: {CONVERT}")
        part = name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2]
        heads = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}.get(part, "")
        offset = self._architecture.norm_offset if part.endswith("norm") else 0.0
        source = _Source(file, tensor, heads if self._architecture.permuted else "", offset)
        if EXPERT not in ours:
            self._sources[ours] = source
            return
        if len(tensor.shape) != 3 or tensor.shape[0] not in range(1, _EXPERTS + 1):
            raise UserError(f"{self.path} has a tensor {name} of the shape {tensor.shape}, where a stack of experts "
                            f"has three dimensions, the first of at most {_EXPERTS}: {CONVERT}")
        for number, expert in enumerate(_experts(tensor)):
            self._sources[ours.replace(EXPERT, str(number))] = _Source(file, expert, "", 0.0)

    def _stored_rows(self, name: str, rows: range) -> np.ndarray | None:
        """Return the places in the file of rows of the Hugging Face tensor, or None where the order is the same.

        The converter interleaves the two halves of every head in q and k of some architectures, because llama.cpp's
        rotary embedding takes neighbours there where Hugging Face's takes halves (``LlamaModel.permute`` of
        conversion/llama.py).
        """
        source, shape = self._sources[name], self._sources[name].tensor.shape
        if not source.heads or not shape:
            return None
        heads = self._values.get(f"{self._name}.{source.heads}") or self._values.get(
            f"{self._name}.attention.head_count")
        if isinstance(heads, list) and len(set(heads)) == 1:
            heads = heads[0]
        if type(heads) is not int or heads <= 0 or shape[0] % (2 * heads):
            raise UserError(f"tensor {name} in {self.path} has {shape[0]} rows, which do not make {heads} heads: "
                            "the file is corrupt, download it again")
        width = shape[0] // heads
        head, place = np.divmod(np.asarray(rows), max(width, 1))
        half, pair = np.divmod(place, max(width // 2, 1))
        return head * width + 2 * pair + half

    @staticmethod
    def _floats(source: _Source, start: int, stop: int) -> np.ndarray:
        """Return rows of a tensor, in the file's order, dequantised: float32. Of one dimension, a row is an element."""
        tensor = source.tensor
        if not tensor.size:
            return np.zeros((stop - start, *tensor.shape[1:]), np.float32)
        # A vector is read as a matrix of one row, as its blocks have several elements.
        vector = len(tensor.shape) < 2
        shape, first, last = ((1, *tensor.shape), 0, 1) if vector else (tensor.shape, start, stop)
        row = tensor.size // shape[0]
        content = read_range(source.file, tensor.start + first * row, (last - first) * row, CURE)
        if plain := _PLAIN.get(tensor.kind.name):
            values = np.frombuffer(content, plain).astype(np.float32)
        else:
            blocks = np.frombuffer(content, np.uint8).reshape((last - first) * math.prod(shape[1:-1]), -1)
            values = gguf.dequantize(blocks, tensor.kind)
        return values.reshape(-1)[start:stop] if vector else values.reshape(stop - start, *shape[1:])

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Read rows of a tensor, dequantised: float32.

        Raises
        ------
        UserError
            When the tensor holds integers, or is quantised in a way that the library does not know, or the file can no
            longer be read.
        """
        source = self._sources[name]
        tensor = source.tensor
        wanted = range(*rows.indices(tensor.shape[0] if tensor.shape else 1))
        if not wanted:
            return np.zeros((0, *tensor.shape[1:]), np.float32)
        stored = self._stored_rows(name, wanted)
        places = np.asarray(wanted) if stored is None else stored
        start, stop = int(places.min()), int(places.max()) + 1
        try:
            values = self._floats(source, start, stop)
        except NotImplementedError as error:
            raise UserError(f"tensor {name} in {self.path} is stored as {tensor.kind.name}, which cannot be turned "
                            f"into floats: {_QUANTISE}") from error
        values = values[places - start].reshape(len(wanted), *tensor.shape[1:]) if tensor.shape else values.reshape(())
        return values - np.float32(source.offset) if source.offset else values

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Read rows of a tensor of two or more dimensions, with the rows of a stack one below another: float32.

        UserError as :meth:`read`.
        """
        _, *others = self.tensors[name][0]
        below = math.prod(others[:-1])  # rows of the stack for each element of the first dimension
        begin = start // below
        whole = self.read(name, slice(begin, -(-stop // below))).reshape(-1, others[-1])
        return whole[start - begin * below:stop - begin * below]

    def _whole(self) -> None:
        """Refuse a model that lacks a tensor, or has more layers than it says."""
        stated = self._values[f"{self._name}.block_count"]
        names = {name.replace(".experts.0.", f".experts.{EXPERT}.") for name in self._sources}
        # With more layers than there are tensors, one is missing anyway.
        needed = [name for layer in range(min(stated, len(names) + 1)) for name in self._architecture.needed(layer)]
        for name in ("token_embd.weight", "output_norm.weight", *needed):
            if self._architecture.name_of(name) not in names:
                raise UserError(f"{self.path} has no tensor {name}: {CURE}")
        for name in self._sources:
            if name.startswith("model.layers.") and int(name.split(".")[2]) >= stated:
                raise UserError(f"{self.path} has a tensor {name} where {self._name}.block_count is {stated}: {CURE}")

    def _biases(self) -> dict[str, bool]:
        """Return the settings that say which parts of a layer have a bias. UserError when some of them have none."""
        found = {}
        for setting, parts in self._architecture.bias_settings:
            wanted = [f"blk.{layer}.{part}.bias" for layer in range(self._values[f"{self._name}.block_count"])
                      for part in parts]
            there = [name for name in wanted if self._architecture.name_of(name) in self._sources]
            if there and len(there) != len(wanted):
                other = next(name for name in wanted if name not in set(there))
                raise UserError(f"{self.path} has a tensor {there[0]} but none {other}, which Hugging Face's "
                                f"{self._architecture.model_type} does not have one by one: {CONVERT}")
            found[setting] = bool(there)
        return found

    def _dtype(self) -> str:
        """Return the type that a program should calculate in: that of the matrices in the file. Where they are
        quantised, it is F16, or BF16 for Gemma, whose activations are beyond the range of F16."""
        kinds = {kind for shape, kind in self.tensors.values() if len(shape) > 1}
        if kinds <= {"F32", "F64"}:
            return "float32"
        return "bfloat16" if "BF16" in kinds or self._architecture.norm_offset else "float16"

    def config(self) -> dict[str, Any]:
        """Make the settings of a Hugging Face ``config.json`` from the file's metadata.

        Raises
        ------
        UserError
            When the model lacks a setting or a tensor, a setting has not the type that it must have, or one cannot be
            carried over.
        """
        return dict(self._config)

    @cached_property
    def _config(self) -> dict[str, Any]:
        factors = {name: self._floats(source, 0, math.prod(source.tensor.shape))
                   for name, source in self._factors.items() if len(source.tensor.shape) == 1}
        config = config_of(self.path, str(self._name), self._values, self._header.keys,
                           {name: shape for name, (shape, _) in self.tensors.items()}, factors)
        self._whole()
        for setting in ("num_local_experts", "num_experts"):
            stacks = {name.split(".experts.")[1].partition(".")[0] for name in self.tensors if ".experts." in name}
            if setting in config and config[setting] != len(stacks):
                raise UserError(f"{self.path} says that there are {config[setting]} experts and holds {len(stacks)}: "
                                f"{CURE}")
        return config | self._biases() | {"dtype": self._dtype()}

    @cached_property
    def _sided(self) -> tuple[dict[str, bytes], list[str]]:
        """The files of :meth:`side_files`, and the sentences of :attr:`notices`."""
        left_out = f"no tokenizer is written, because that of {self.path}"
        try:
            vocabulary = read_vocabulary(self.files[0], self._header)
        except VocabularyError as error:
            return {}, [f"{left_out} cannot be used: {error}"]
        if vocabulary is None:
            return {}, [f"{left_out} is missing"]
        files = generation_config(vocabulary)
        try:
            written = tokenizer_files(vocabulary, *(self._config[key] for key in (
                "model_type", "vocab_size", "max_position_embeddings")))
            return {**written, **files}, []
        except VocabularyError as error:
            return files, [f"{left_out} has no certain counterpart: {error}; take tokenizer.json and "
                           "tokenizer_config.json from the Hugging Face checkpoint"]

    def side_files(self) -> dict[str, bytes]:
        """Return the files of a Hugging Face folder that hold neither weights nor ``config.json``, by name: the
        tokenizer's and ``generation_config.json``.

        Raises
        ------
        UserError
            As :meth:`config`.
        """
        return dict(self._sided[0])

    @property
    def notices(self) -> list[str]:
        """Sentences about what the file has and a Hugging Face folder of it has not."""
        return list(self._sided[1])

    @cached_property
    def _kept(self) -> dict[str, str]:
        """Types that quantised tensors were found to need, by name."""
        return {}

    def _stored_type(self, name: str, step: int) -> str:
        """Return the type in which a tensor is copied. A quantised one is of 16 bits: F16, which is nearest to its
        numbers, or BF16 where F16 does not reach them."""
        shape, kind = self.tensors[name]
        if kind in _AS_THEY_ARE:
            return "F32" if self._sources[name].offset else _AS_THEY_ARE[kind]
        if name not in self._kept:
            greatest = 0.0
            for start in range(0, (shape[0] if shape else 1) if math.prod(shape) and kind not in _WIDE else 0, step):
                values = np.abs(self.read(name, slice(start, start + step)))
                greatest = max(greatest, float(np.max(values, initial=0.0, where=np.isfinite(values))))
            reached = kind not in _WIDE and greatest < float(np.finfo(np.float16).max)
            self._kept[name] = "F16" if reached else "BF16"
        return self._kept[name]

    def raw_size(self, name: str) -> int:
        """Return the size of a tensor in bytes as :meth:`raw` gives it, without reading the tensor."""
        shape, kind = self.tensors[name]
        kept = _AS_THEY_ARE.get(kind)
        stored = "F16" if kept is None else "F32" if self._sources[name].offset else kept  # BF16 is as wide as F16
        return math.prod(shape) * np.dtype(_STORED[stored]).itemsize

    def raw(self, name: str) -> Content:
        """Return a tensor to be copied: in its own type, or in one of 16 bits where it is quantised.

        Its pieces raise errors as :meth:`read` does, and when a number is beyond the range of the type.
        """
        shape, _ = self.tensors[name]
        step = max(_PIECE // max(math.prod(shape[1:]), 1), 1)
        stored = self._stored_type(name, step)
        dtype = _STORED[stored]
        size = self.raw_size(name)

        def pieces() -> Iterator[bytes]:
            for start in range(0, (shape[0] if shape else 1) if size else 0, step):
                try:
                    with np.errstate(over="raise", invalid="ignore"):
                        content = self.read(name, slice(start, start + step)).astype(dtype).tobytes()
                except FloatingPointError as error:
                    raise UserError(f"tensor {name} in {self.path} holds numbers beyond the range of float32: mend the "
                                    "checkpoint or leave the tensor out") from error
                yield content

        return Content(name, stored, shape, size, pieces)
