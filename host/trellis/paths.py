"""The best codes of rows under given scales, by the kernel in ``viterbi.c``.

Where all that counts is the squared error of each weight, a path is the best of all that there are: the kernel leaves
no window out, and sums in single precision are its only inexactness.
"""

from collections.abc import Callable
from ctypes import c_long, c_void_p
from typing import NamedTuple, Protocol

import numpy as np

from golden.formats.trellis import TrellisFormat
from golden.trellis.values import all_values
from host.trellis.kernel import load

__all__ = ["FedKernel", "Finder", "KernelFinder", "Paths", "mirrored", "mirrored_values"]


class Paths(NamedTuple):
    """The best codes of some rows, each under its scale.

    ``codes`` is uint8, (rows, columns). ``starts`` is int32, (rows,): the bits of a row's stream before its first code.
    ``errors`` is float64, (rows,), the sums of squares of ``x - scale * v``, where v is a weight's integer times what
    its column weighs. ``fitted``, float64, (rows,), is the scale that least squares give for these codes, or 0 where
    all integers are 0.
    """

    codes: np.ndarray
    starts: np.ndarray
    errors: np.ndarray
    fitted: np.ndarray


class Finder(Protocol):
    """Finds paths of rows that share a format and what their columns weigh."""

    fmt: TrellisFormat
    columns: np.ndarray
    """What an error in each column counts: float32, (columns,)."""

    def paths(self, x: np.ndarray, scales: np.ndarray) -> Paths:
        """Return the best codes of rows.

        Parameters
        ----------
        x : float32 array, (rows, columns)
            Weights times what their columns weigh.
        scales : float array, (rows,)
        """
        ...


def _narrow(values: np.ndarray) -> np.ndarray:
    """Return an array as the kernel reads it: float32, without gaps."""
    return np.ascontiguousarray(values, np.float32)


def _call(function: Callable[..., None], *given: np.ndarray | int) -> None:
    """Call a function of the kernel with arrays and numbers."""
    function(*(c_long(each) if isinstance(each, int) else c_void_p(each.ctypes.data) for each in given))


def mirrored(bits: int) -> np.ndarray:
    """Return each number of so many bits with its bits in reverse: int64, (2**bits,)."""
    numbers, out = np.arange(1 << bits), np.zeros(1 << bits, np.int64)
    for n in range(bits):
        out |= (numbers >> n & 1) << (bits - 1 - n)
    return out


def mirrored_values(fmt: TrellisFormat) -> np.ndarray:
    """Return the integer of each window whose newest bit is its lowest, as a search has it: float32, (2**window,)."""
    return all_values(fmt)[mirrored(fmt.window)].astype(np.float32)


class KernelFinder:
    """A :class:`Finder` on the processor; each call works in the thread that makes it, without Python's lock."""

    def __init__(self, fmt: TrellisFormat, columns: np.ndarray) -> None:
        self.fmt, self.columns = fmt, columns.astype(np.float32)
        self._kernel, self._values = load(fmt), mirrored_values(fmt)
        self._codes, self._states = mirrored(fmt.bits).astype(np.uint8), mirrored(fmt.start_bits).astype(np.int32)

    def paths(self, x: np.ndarray, scales: np.ndarray) -> Paths:
        """Return the best codes of rows; see :class:`Finder`."""
        rows, cols = x.shape
        least = np.empty((cols + 1) * self._kernel.viterbi_stride(), np.float32)
        codes, starts, sums = np.empty((rows, cols), np.uint8), np.empty(rows, np.int32), np.empty((rows, 3))
        _call(self._kernel.viterbi_rows, self._values, _narrow(x), self.columns, _narrow(scales), rows, cols, least,
              codes, starts, sums)
        fitted = np.divide(sums[:, 1], sums[:, 2], out=np.zeros(rows), where=sums[:, 2] > 0)
        return Paths(self._codes[codes], self._states[starts], sums[:, 0], fitted)


class FedKernel:
    """Finds paths in which columns make up for the errors before them, a stretch of some rows' columns at a time."""

    def __init__(self, fmt: TrellisFormat) -> None:
        self._kernel, self._values, self._count = load(fmt), mirrored_values(fmt), 1 << fmt.start_bits
        self._codes, self._states = mirrored(fmt.bits).astype(np.uint8), mirrored(fmt.start_bits).astype(np.int32)

    def paths(self, x: np.ndarray, scales: np.ndarray, upper: np.ndarray,
              starts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return codes whose errors E, of each row, count ``||E R||**2``: not always the best of all, but the best of
        those that have the best beginnings.

        Parameters
        ----------
        x : float array, (rows, columns)
            The weights, in a multiple of 16 columns.
        scales : float array, (rows,)
        upper : float array, (columns, columns)
            R, upper triangular.
        starts : int array, (rows,), optional
            The bits of the stream before the first codes. Default: those that are best.

        Returns
        -------
        uint8 array, (rows, columns), and int32 arrays, (rows,) and (rows,)
            The codes, the bits before them, and those that the next stretch has to start from.
        """
        rows, cols = x.shape
        begin = np.full(rows, -1, np.int32) if starts is None else self._states[starts]
        codes, end = np.empty((rows, cols), np.uint8), np.empty(rows, np.int32)
        _call(self._kernel.viterbi_fed, self._values, _narrow(x), _narrow(upper), _narrow(scales), rows, cols,
              np.empty(2 * cols * self._count, np.float32), np.empty(cols * self._count, np.uint8), codes, begin, end)
        return self._codes[codes], self._states[begin], self._states[end]
