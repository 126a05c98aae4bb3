"""Compressed matrices as arrays of fields, and blocks as integers of ``block_bits`` bits."""

from dataclasses import dataclass

import numpy as np

from golden.projection import centred
from golden.scales import require_row_scales
from golden.spec import HEAD_FIELDS, BlockFormat

__all__ = ["CompressedMatrix", "pack", "unpack"]


@dataclass(frozen=True)
class CompressedMatrix:
    """A weight matrix in SeedLM form.

    Parameters
    ----------
    fmt : BlockFormat
    shape : (int, int)
        Rows (outputs) and columns (inputs) of the matrix; the last block of a row is padded with zero weights.
    seeds : uint32 array, (rows, blocks)
        LFSR register states, 1 to 2**k - 1, where blocks = ceil(columns / c).
    exponents : int8 array, (rows, blocks)
        Shared exponents, -8 to 7; 0 where the format has none.
    coefs : int8 array, (rows, blocks, p)
        Coefficients, ``coef_min`` to ``coef_max``.
    exponent_bias : int
        Power of two by which the whole matrix is scaled, applied once to each result. The paper's format has 0.
    scales : float16 array, (rows,), optional
        The scales of the rows, where the format has no exponents: zero or normal, and finite.
    rotated : bool
        Whether the weights are those of rotated inputs (:mod:`golden.rotation`).

    Raises
    ------
    ValueError
        When an array's shape disagrees with ``shape`` or a field is out of its range.
    """

    fmt: BlockFormat
    shape: tuple[int, int]
    seeds: np.ndarray
    exponents: np.ndarray
    coefs: np.ndarray
    exponent_bias: int = 0
    scales: np.ndarray | None = None
    rotated: bool = False

    def __post_init__(self) -> None:
        rows, cols = self.shape
        blocks = -(-cols // self.fmt.c)
        wanted = {"seeds": (rows, blocks), "exponents": (rows, blocks), "coefs": (rows, blocks, self.fmt.p)}
        ranges = {"seeds": (1, self.fmt.seeds), "exponents": (self.fmt.exp_min, self.fmt.exp_max),
                  "coefs": (self.fmt.coef_min, self.fmt.coef_max)}
        for name, shape in wanted.items():
            array, (low, high) = getattr(self, name), ranges[name]
            if array.shape != shape:
                raise ValueError(f"{name} of a {rows} x {cols} matrix must have shape {shape}, not {array.shape}")
            if array.size and not low <= array.min() <= array.max() <= high:
                raise ValueError(f"{name} must lie in {low}..{high}, found {array.min()}..{array.max()}")
        if (self.scales is not None) != bool(self.fmt.head_blocks):
            raise ValueError(f"rows of {self.fmt.name} have {'' if self.fmt.head_blocks else 'no '}scales")
        if self.scales is not None:
            require_row_scales(self.scales, rows)

    def numerators(self) -> np.ndarray:
        """Sum over p of q[p] * (V[c, p] - 2**(k-1)): int64, (rows, blocks, c). Weights but for their factors of two
        and the constant 1 / (2**(k-1) - 1)."""
        # At most 2**29 for every format.
        small = np.einsum("rbcp,rbp->rbc", centred(self.seeds, self.fmt).astype(np.int32, copy=False),
                          self.coefs.astype(np.int32))
        return small.astype(np.int64)

    def in_units(self, numerators: np.ndarray) -> np.ndarray:
        """What numerators, (rows, blocks, c), stand for, but for their exponents: float64. The unit of U or, where rows
        have scales, those count."""
        if self.scales is None:
            return numerators / self.fmt.unit
        return numerators * self.scales.astype(np.float64)[:, None, None]

    def weights(self) -> np.ndarray:
        """The weights that the blocks stand for: float64, (rows, columns)."""
        rows, cols = self.shape
        power = self.exponents.astype(np.int64) + self.exponent_bias
        full = np.ldexp(self.in_units(self.numerators()), power[..., None])
        return full.reshape(rows, -1)[:, :cols]

    def packed(self) -> np.ndarray:
        """Every block as an integer of ``block_bits`` bits, heads first: object array of int, (rows, blocks)."""
        blocks = pack(self.fmt, self.seeds, self.exponents, self.coefs)
        if self.scales is None:
            return blocks
        low, _ = HEAD_FIELDS["scale"]
        return np.concatenate([self.scales.view(np.uint16).astype(object)[:, None] << low, blocks], axis=1)


def pack(fmt: BlockFormat, seeds: np.ndarray, exponents: np.ndarray, coefs: np.ndarray) -> np.ndarray:
    """Blocks as integers, laid out as :mod:`golden.spec` says.

    ``seeds`` and ``exponents`` have any shape ``S``, ``coefs`` has ``S + (p,)``; the result is an object array of
    Python ints of shape ``S`` (a block may be wider than any machine word).
    """
    values = {"seed": seeds, "exponent": exponents} | {f"q{i}": coefs[..., i] for i in range(fmt.p)}
    word = np.zeros(np.shape(seeds), dtype=object)
    for name, (low, width) in fmt.fields.items():
        word |= (np.asarray(values[name]).astype(object) & ((1 << width) - 1)) << low
    return word


def unpack(fmt: BlockFormat, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The inverse of :func:`pack`: seeds (uint32), exponents (int8) and coefficients (int8) of integer blocks, none of
    them a head."""
    words = np.asarray(words, dtype=object)

    def field(name: str) -> np.ndarray:
        low, width = fmt.fields[name]
        return np.asarray((words >> low) & ((1 << width) - 1), dtype=np.int64)

    def signed(name: str) -> np.ndarray:
        half = 1 << (fmt.fields[name][1] - 1)
        return (field(name) ^ half) - half

    coefs = np.stack([signed(f"q{i}") for i in range(fmt.p)], axis=-1)
    exponents = signed("exponent") if fmt.exp_bits else np.zeros(words.shape)
    return field("seed").astype(np.uint32), exponents.astype(np.int8), coefs.astype(np.int8)
