"""The linear layers of a model as a protocol, and its plainest implementation, in floating point.

A forward pass asks for products by the names of the checkpoint's tensors, and all else is its own business. So the same
pass runs with weights as they are, with weights that were compressed, with the exact arithmetic of the hardware
(:mod:`host.model.golden_linear`), and on the hardware itself (:mod:`host.model.device_linear`). Something that wants to
see the inputs of linear layers is a linear layer too, which calls another one.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["FloatLinear", "Linear"]


class Linear(Protocol):
    """What multiplies vectors with the matrices of a model."""

    def __call__(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        """Return the products of vectors with matrices that all have the same input.

        Parameters
        ----------
        names : sequence of str
            Names of the matrices, such as those of queries, keys and values of a layer.
        x : Tensor
            The vectors: float32, (tokens, columns).

        Returns
        -------
        list of Tensor
            For each matrix: float32, (tokens, rows).
        """


class FloatLinear:
    """Products in float32.

    Parameters
    ----------
    read : callable
        Returns the weights of a matrix by its name: float32, (rows, columns). It may be the method ``matrix`` of a
        checkpoint, or give other weights in place of some of its matrices.
    keep : bool
        Whether weights stay in memory once they have been read. If not, they are read at every call, so that a model
        may be larger than memory.
    """

    def __init__(self, read: Callable[[str], np.ndarray], keep: bool = True) -> None:
        def weights(name: str) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(read(name), dtype=np.float32))

        self._weights = cache(weights) if keep else weights

    def __call__(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        """Return the products; see :class:`Linear`."""
        return [x @ self._weights(name).T for name in names]
