"""How the matrices of a model lie in its tensors.

The matrix of a tensor has an output in each row. Most tensors hold it as it is, of shape (out, in). A tensor of more
dimensions, (..., out, in), holds a stack of matrices, such as one for each expert, and its matrix has all their rows
one below another. A transposed tensor holds (..., in, out).
"""

import math
from collections.abc import Callable

import numpy as np

__all__ = ["DIMS", "Rows", "matrix_shape", "turned"]

Rows = Callable[[int, int], np.ndarray]
"""Reads rows from a first one up to, but not including, a last one: (rows, columns)."""

DIMS = 64
"""Most dimensions of a tensor: those of NumPy's arrays, and few enough for their product to be cheap."""
_PIECE = 1 << 22  # weights read at a time


def matrix_shape(shape: tuple[int, ...], transposed: bool) -> tuple[int, int]:
    """Return the (rows, columns) of the matrix of a tensor with two or more dimensions."""
    *stack, outputs, inputs = shape
    if transposed:
        outputs, inputs = inputs, outputs
    return math.prod(stack) * outputs, inputs


def turned(read: Rows, shape: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    """Return some rows of a stack of matrices after every one of them is transposed.

    Memory holds the result and a piece of what is read.

    Parameters
    ----------
    read : Rows
        Reads rows of the stack as it is, in which the rows of all matrices stand one below another.
    shape : tuple of int
        Shape of the stack as it is: (..., rows, columns).
    start, stop : int
        The rows to return, counted over all transposed matrices.

    Returns
    -------
    np.ndarray
        (stop - start, rows), of the type that ``read`` returns.
    """
    height, width = shape[-2:]
    step = max(_PIECE // width, 1)
    result = np.empty((0, height))
    for number in range(start // width, -(-stop // width)):
        first, last = max(start - number * width, 0), min(stop - number * width, width)
        at = number * width + first - start  # the first of its rows in the result
        for row in range(0, height, step):
            piece = read(number * height + row, number * height + min(row + step, height))[:, first:last]
            if not len(result):
                result = np.empty((stop - start, height), piece.dtype)
            result[at:at + last - first, row:row + len(piece)] = piece.T
    return result
