"""Matrices that are measured: their weights, the vector that each is multiplied with, and their form in a format."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from golden.product import Weights
from host.codes import coded
from host.errors import UserError, WeightsError
from host.packing.image import StoredMatrix
from hw.config import EngineConfig

__all__ = ["SIGMA", "Matrix", "gaussian_matrices", "prepared"]

SIGMA = 0.02
"""Standard deviation of random weights: about that of a language model's, and ours, not the
paper's. Cycles do not depend on it, nor do errors where the exponent bias is chosen."""


@cache
def _vector(name: str, cols: int) -> np.ndarray:
    """Return a standard normal vector, float16, (cols,): always the same one for a name and width."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), cols])
    return np.asarray(rng.standard_normal(cols), dtype=np.float16)


@dataclass(frozen=True)
class Matrix:
    """A weight matrix.

    Parameters
    ----------
    name : str
    weights : float32, (rows, columns)
    stored : StoredMatrix or None
        Its compressed form, where the checkpoint has one.
    input : str
        Name of the first matrix of the layer that has the same input vector; by default its own.
    """

    name: str
    weights: np.ndarray
    stored: StoredMatrix | None = None
    input: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, cols = self.weights.shape
        return rows, cols

    @property
    def activations(self) -> np.ndarray:
        """Random vector, float16, (columns,); matrices of a layer with the same input have the same one."""
        return _vector(self.input or self.name, self.weights.shape[1])


def gaussian_matrices(sizes: tuple[int, ...]) -> list[Matrix]:
    """Return square matrices of N(0, SIGMA**2), float32; those of a size are always the same."""
    return [Matrix(f"{size}x{size}", np.random.default_rng(size).normal(0, SIGMA, (size, size)).astype(np.float32))
            for size in sizes]


def prepared(config: EngineConfig, matrix: Matrix, progress: Callable[[int, int], None]) -> Weights:
    """Return a matrix in the format of the engine, as its best encoder makes it (:func:`host.codes.coded`).

    Parameters
    ----------
    progress : callable
        Called with what is done and what there is, where the encoder takes long.

    Raises
    ------
    UserError
        When its weights are beyond the range of the format, or as :func:`host.codes.coded` says.
    """
    if matrix.stored and matrix.stored.fmt == config.fmt:
        return matrix.stored
    try:
        return coded(matrix.weights, config.fmt, progress, keep=True)
    except WeightsError as error:
        raise UserError(f"{matrix.name}: {error}") from error
