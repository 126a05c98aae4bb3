"""Matrices in trellis form as arrays of codes, and rows as integers of ``row_bits`` bits."""

from dataclasses import dataclass

import numpy as np

from golden.activations import require_finite
from golden.spec import SCALE_BITS
from golden.trellis.spec import TrellisFormat
from golden.trellis.values import all_values

__all__ = ["TrellisMatrix", "unpack"]


@dataclass(frozen=True)
class TrellisMatrix:
    """A weight matrix in trellis form.

    Parameters
    ----------
    fmt : TrellisFormat
    codes : uint8 array, (rows, columns)
        The new bits of each weight, 0 to 2**bits - 1.
    starts : uint16 array, (rows,)
        The stream's bits before the first code of each row, 0 to 2**start_bits - 1.
    scales : float16 array, (rows,)
        Finite; what one unit of a row's integers stands for, but for the exponent bias.
    exponent_bias : int
        Power of two by which the whole matrix is scaled, so that scales are in the range of FP16.

    Raises
    ------
    ValueError
        When the shapes or types disagree or a value is out of its range.
    """

    fmt: TrellisFormat
    codes: np.ndarray
    starts: np.ndarray
    scales: np.ndarray
    exponent_bias: int = 0

    def __post_init__(self) -> None:
        if self.codes.ndim != 2:
            raise ValueError(f"codes must have shape (rows, columns), not {self.codes.shape}")
        rows, cols = self.shape
        for name, dtype, bits in (("codes", np.uint8, self.fmt.bits), ("starts", np.uint16, self.fmt.start_bits)):
            array = getattr(self, name)
            if array.dtype != dtype:
                raise ValueError(f"{name} must be {np.dtype(dtype)}, not {array.dtype}")
            if array.size and array.max() >> bits:
                raise ValueError(f"{name} must lie in 0..{(1 << bits) - 1}, found {array.max()}")
        for name in ("starts", "scales"):
            shape = getattr(self, name).shape
            if shape != (rows,):
                raise ValueError(f"{name} of a {rows} x {cols} matrix must have shape {(rows,)}, not {shape}")
        require_finite(self.scales, "scales")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (outputs) and columns (inputs)."""
        rows, cols = self.codes.shape
        return rows, cols

    def integers(self) -> np.ndarray:
        """The integers of the windows, one step of the stream after the other: int64, (rows, columns)."""
        fmt, (rows, cols) = self.fmt, self.shape
        shared, out = self.starts.astype(np.int64), np.empty((rows, cols), dtype=np.int64)
        for i in range(cols):
            window = shared | (self.codes[:, i].astype(np.int64) << fmt.start_bits)
            out[:, i] = all_values(fmt)[window]
            shared = window >> fmt.bits
        return out

    def weights(self) -> np.ndarray:
        """The weights that the codes stand for, exactly: float64, (rows, columns)."""
        return np.ldexp(self.integers() * self.scales.astype(np.float64)[:, None], self.exponent_bias)

    def packed(self) -> list[int]:
        """Every row as an integer of ``row_bits`` bits, laid out as :mod:`golden.trellis.spec` says."""
        fmt, rows = self.fmt, []
        for codes, start, scale in zip(self.codes.tolist(), self.starts.tolist(),
                                       self.scales.view(np.uint16).tolist(), strict=True):
            stream = start
            for i, code in enumerate(codes):
                stream |= code << (fmt.start_bits + fmt.bits * i)
            rows.append(scale | stream << SCALE_BITS)
        return rows


def unpack(fmt: TrellisFormat, rows: list[int], columns: int, exponent_bias: int = 0) -> TrellisMatrix:
    """The matrix of packed rows, the inverse of :meth:`TrellisMatrix.packed`.

    Parameters
    ----------
    rows : list of int
        0 to 2**fmt.row_bits(columns) - 1.
    columns : int
        Weights of a row.

    Raises
    ------
    ValueError
        When a row has more bits than so many weights take, or a scale is not finite.
    """
    most = fmt.row_bits(columns)
    for row in rows:
        if row < 0 or row.bit_length() > most:
            raise ValueError(f"a row of {columns} weights has {most} bits, not {row.bit_length()}")
    mask = (1 << fmt.bits) - 1
    scales = np.array([row & ((1 << SCALE_BITS) - 1) for row in rows], np.uint16).view(np.float16)
    starts = np.array([row >> SCALE_BITS & ((1 << fmt.start_bits) - 1) for row in rows], np.uint16)
    first = SCALE_BITS + fmt.start_bits
    codes = np.array([[row >> (first + fmt.bits * i) & mask for i in range(columns)] for row in rows], np.uint8)
    return TrellisMatrix(fmt, codes.reshape(len(rows), columns), starts, scales, exponent_bias)
