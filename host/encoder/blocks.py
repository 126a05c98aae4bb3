"""What the C kernel works on: its tables of seeds, and blocks with the best codes found for them so far."""

import ctypes
from copy import copy
from typing import Any, Literal, get_args

import numpy as np

from golden.projection import u_matrix
from golden.spec import BlockFormat
from host.encoder.kernel import load
from host.encoder.metric import Metric

__all__ = ["Blocks", "Mode", "Tables", "segments"]

Mode = Literal["exact", "paper", "printed"]
"""How codes are chosen; see :mod:`host.encoder.encoder`."""


def segments(fmt: BlockFormat) -> int:
    """Return the number of segments of the LFSR cycle: the kernel has tables for one at a time. UserError as for
    :func:`~host.encoder.kernel.load`."""
    return -(-fmt.seeds // int(load(fmt).segment_positions()))


class Tables:
    """The kernel's tables for the segment of the LFSR cycle that starts at ``seed``, and for a metric.

    The kernel frees the tables when nobody holds this object any more. A thread that searches holds it until its search
    has ended, so that tables are never freed under a thread, whatever exception ends the program's work.

    Raises
    ------
    MemoryError
    UserError
        As :func:`host.encoder.kernel.load`.
    """

    def __init__(self, fmt: BlockFormat, seed: int, mode: Mode, metric: Metric) -> None:
        self.mode_number, self.kernel = get_args(Mode).index(mode), load(fmt)
        matrix = np.ascontiguousarray(metric.matrix)
        # ctypes passes this attribute to the kernel, and holds the object meanwhile.
        self._as_parameter_ = ctypes.c_void_p(self.kernel.segment_new(ctypes.c_uint32(seed), matrix.ctypes,
                                                                      ctypes.c_double(metric.widened)))
        if not self._as_parameter_:
            raise MemoryError("encoder tables")
        if mode != "exact":
            # Where columns of U are nearly dependent, rounding shows how the pseudo-inverse was computed. The kernel
            # takes NumPy's for these seeds, as golden does for all, so that both round alike.
            bad = np.empty(self.kernel.segment_bad_count(self), dtype=np.uint32)
            self.kernel.segment_bad_seeds(self, bad.ctypes)
            pinv = np.ascontiguousarray(np.linalg.pinv(matrix @ u_matrix(bad, fmt)))
            if not self.kernel.segment_set_pinv(self, pinv.ctypes):
                raise MemoryError("encoder tables")

    @property
    def next_seed(self) -> int:
        """The first seed of the next segment."""
        return int(self.kernel.segment_next(self))

    def __del__(self) -> None:
        if tables := getattr(self, "_as_parameter_", None):
            self.kernel.segment_free(tables)


class Blocks:
    """The best codes of ``count`` blocks that have been found so far.

    ``errors`` are squared, in the metric of the search, relative to what the kernel scales a block by. ``seeds``,
    ``exponents`` and ``codes`` are (count,), (count,) and (count, p). Blocks that are searched with different tables in
    turn, one for each segment, have to be searched in the same metric each time.
    """

    def __init__(self, count: int, fmt: BlockFormat) -> None:
        self.errors = np.full(count, np.inf)
        self.seeds = np.full(count, fmt.seeds, dtype=np.uint32)
        self.exponents = np.full(count, fmt.exp_min, dtype=np.int8)
        self.codes = np.zeros((count, fmt.p), dtype=np.int8)

    def improve(self, tables: Tables, weights: np.ndarray, part: slice) -> None:
        """Improve on the best codes of consecutive blocks with the seeds of a segment.

        The kernel runs without Python's lock, and writes to these blocks alone, so threads need no other one.

        Parameters
        ----------
        weights : float64 array, (blocks of the part, c)
            Divided by two to the power of the exponent bias.
        """
        weights = np.ascontiguousarray(weights, dtype=np.float64)
        tables.kernel.segment_search(tables, weights.ctypes, ctypes.c_long(len(weights)), tables.mode_number,
                                     *self.pointers(part))

    def pointers(self, part: slice = slice(None)) -> list[Any]:
        """What the kernel writes to, for consecutive blocks."""
        return [values[part].ctypes for values in (self.errors, self.seeds, self.exponents, self.codes)]

    def part(self, index: np.ndarray) -> "Blocks":
        """Return a copy of some blocks."""
        part = copy(self)
        part.errors, part.seeds = self.errors[index], self.seeds[index]
        part.exponents, part.codes = self.exponents[index], self.codes[index]
        return part

    def put(self, index: np.ndarray, part: "Blocks") -> None:
        """Put a copy of some blocks back."""
        self.errors[index], self.seeds[index] = part.errors, part.seeds
        self.exponents[index], self.codes[index] = part.exponents, part.codes
