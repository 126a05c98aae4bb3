"""Linear layers in the exact integer arithmetic of the hardware."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from golden.product import Weights
from golden.spec import ACT_BITS
from host.errors import UserError
from host.model.exact_product import ExactMatrix

__all__ = ["GoldenLinear", "activations"]


def activations(names: Sequence[str], x: Tensor) -> np.ndarray:
    """Return the inputs of linear layers as the hardware takes them: float16, of the same shape.

    Parameters
    ----------
    names : sequence of str
        The matrices, for messages.
    x : Tensor
        float32, (tokens, columns).

    Raises
    ------
    UserError
        When an input is beyond the range of FP16.
    """
    with np.errstate(over="ignore"):
        found = x.numpy().astype(np.float16)
    if not np.isfinite(found).all():
        raise UserError(f"an input of {names[0]} is {float(x.abs().max()):g}, beyond the range of FP16, 65504: the "
                        "engine cannot run this model")
    return found


class GoldenLinear:
    """Products as the hardware computes them, bit for bit, for many tokens at once.

    Parameters
    ----------
    read : callable
        Returns a matrix by its name, in any format of golden.
    act_bits : int
        Width of an activation in bits, 16 or 8.
    keep : bool
        Whether matrices stay in memory once they have been read, with 4 bytes for each weight, or 8 for a few. If not,
        they are read and prepared at every call.
    """

    def __init__(self, read: Callable[[str], Weights], act_bits: int = ACT_BITS, keep: bool = True) -> None:
        def matrix(name: str) -> ExactMatrix:
            return ExactMatrix(read(name), act_bits)

        self._matrix = cache(matrix) if keep else matrix

    def __call__(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        """Return the products; see :class:`host.model.linear.Linear`. UserError as :func:`activations`."""
        vectors = activations(names, x)
        return [torch.from_numpy(self._matrix(name).product(vectors)) for name in names]
