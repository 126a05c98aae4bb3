"""The best codes of rows under given scales, by the kernel in ``viterbi.c``.

A path is the best of all that there are: the kernel leaves no window out, and sums in single precision are its only
inexactness.
"""

from ctypes import c_long, c_void_p
from typing import NamedTuple, Protocol

import numpy as np

from golden.formats.trellis import TrellisFormat
from golden.trellis.values import all_values
from host.trellis.kernel import load

__all__ = ["Finder", "KernelFinder", "Paths", "mirrored", "mirrored_values"]


class Paths(NamedTuple):
    """The best codes of some rows, each under its scale.

    ``codes`` is uint8, (rows, columns). ``starts`` and ``ends`` are int32, (rows,): the bits of a row's stream before
    its first code, and those that the window of a weight behind the last one would share. ``errors`` is float64,
    (rows,), the sums of squares of ``x - scale * v``, where v is a weight's integer times what its column weighs.
    ``fitted``, float64, (rows,), is the scale that least squares give for these codes, or 0 where all integers are 0.
    """

    codes: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    errors: np.ndarray
    fitted: np.ndarray


class Finder(Protocol):
    """Finds paths of rows that share a format and what their columns weigh."""

    fmt: TrellisFormat
    columns: np.ndarray
    """What an error in each column counts: float32, (columns,)."""

    def paths(self, x: np.ndarray, scales: np.ndarray, starts: np.ndarray | None = None) -> Paths:
        """Return the best codes of rows.

        Parameters
        ----------
        x : float32 array, (rows, columns)
            Weights times what their columns weigh.
        scales : float array, (rows,)
        starts : int array, (rows,), optional
            What the rows have to start from. Default: whatever is best.
        """
        ...


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
        self._codes = mirrored(fmt.bits).astype(np.uint8)
        self._states = mirrored(fmt.start_bits).astype(np.int32)

    def paths(self, x: np.ndarray, scales: np.ndarray, starts: np.ndarray | None = None) -> Paths:
        """Return the best codes of rows; see :class:`Finder`."""
        rows, cols = x.shape
        given, narrow = np.ascontiguousarray(x, np.float32), scales.astype(np.float32)
        begin = np.full(rows, -1, np.int32) if starts is None else self._states[starts]
        end, codes, sums = np.empty(rows, np.int32), np.empty((rows, cols), np.uint8), np.empty((rows, 3))
        least = np.empty((cols + 1) * self._kernel.viterbi_stride(), np.float32)
        pointers = [c_void_p(each.ctypes.data) for each in (self._values, given, self.columns, narrow)]
        results = [c_void_p(each.ctypes.data) for each in (least, codes, begin, end, sums)]
        self._kernel.viterbi_rows(*pointers, c_long(rows), c_long(cols), *results)
        fitted = np.divide(sums[:, 1], sums[:, 2], out=np.zeros(rows), where=sums[:, 2] > 0)
        return Paths(self._codes[codes], self._states[begin], self._states[end], sums[:, 0], fitted)
