"""Matrices in trellis form as arrays of codes, and blocks as integers of ``block_bits`` bits."""

from dataclasses import dataclass

import numpy as np

from golden.formats.trellis import TrellisFormat
from golden.scales import require_row_scales
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
        Zero or normal, and finite; what one unit of a row's integers stands for, but for the exponent bias.
    exponent_bias : int
        Power of two by which the whole matrix is scaled, so that scales are in the range of FP16.
    rotated : bool
        Whether the weights are those of rotated inputs (:mod:`golden.rotation`).

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
    rotated: bool = False

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
        if self.starts.shape != (rows,):
            raise ValueError(f"starts of a {rows} x {cols} matrix must have shape {(rows,)}, not {self.starts.shape}")
        require_row_scales(self.scales, rows)

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

    def packed(self) -> np.ndarray:
        """Every block as an integer of ``block_bits`` bits, heads first: object array of int, (rows, blocks)."""
        fmt, (rows, cols) = self.fmt, self.shape
        codes = np.pad(self.codes, ((0, 0), (0, -cols % fmt.c))).reshape(rows, -1, fmt.c).astype(object)
        words = np.zeros((rows, 1 + codes.shape[1]), dtype=object)
        for values, (low, _) in zip((self.scales.view(np.uint16), self.starts), fmt.head_fields.values(), strict=True):
            words[:, 0] |= values.astype(object) << low
        for i in range(fmt.c):
            words[:, 1:] |= codes[..., i] << (fmt.bits * i)
        return words


def unpack(fmt: TrellisFormat, words: np.ndarray, columns: int, exponent_bias: int = 0) -> TrellisMatrix:
    """The matrix of packed blocks, the inverse of :meth:`TrellisMatrix.packed`.

    Parameters
    ----------
    words : object array of int, (rows, blocks)
        The blocks, a head first; their bits beyond the fields mean nothing.
    columns : int
        Weights of a row; those behind them in the last block are dropped.

    Raises
    ------
    ValueError
        When the blocks of a row are not as many as so many weights take, or a scale is not zero or normal.
    """
    words = np.asarray(words, dtype=object)
    if words.shape[1:] != (1 + -(-columns // fmt.c),):
        raise ValueError(f"a row of {columns} weights has {1 + -(-columns // fmt.c)} blocks, not {words.shape[1:]}")

    def field(values: np.ndarray, low: int, width: int, dtype: type) -> np.ndarray:
        return np.asarray((values >> low) & ((1 << width) - 1), dtype=dtype)

    scales, starts = (field(words[:, 0], *place, np.uint16) for place in fmt.head_fields.values())
    codes = np.stack([field(words[:, 1:], fmt.bits * i, fmt.bits, np.uint8) for i in range(fmt.c)], axis=-1)
    return TrellisMatrix(fmt, codes.reshape(len(words), -1)[:, :columns], starts, scales.view(np.float16),
                         exponent_bias)
