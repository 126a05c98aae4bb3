"""Products of a matrix with many vectors at once, each of which is golden's, bit for bit, and much faster.

Golden's weights and activations are integers. Here they are cut into digits, so small that a product of matrices in
float64 is exact whatever order it sums in. Most matrices need one digit: a row of SeedLM's has a common power of two,
which is taken out of it first.
"""

import numpy as np

from golden.activations import fp16_fields, require_finite
from golden.block import CompressedMatrix
from golden.integers import GroupMatrix
from golden.product import Weights, factor, format_of
from golden.rotation import SHIFT, rotated_inputs
from golden.spec import ACT_BITS, FP16_FRACTION, ROTATION_GROWTH
from golden.trellis.matrix import TrellisMatrix
from host.packing import decode

__all__ = ["ExactMatrix"]

_EXACT_BITS = 52
"""Sums below 2**52 are exact in float64, with a bit to spare for the rounding of the bound itself."""
_FP16_DIGIT = 20
"""A float16 in units of 2**-24 has 40 bits, which are two digits of 20."""
_SPLIT = 44
"""Where a sum of digits is split: its lower part has so many bits, and its upper part fits a float64 too."""
_ROWS = 1 << 20
"""Weights that are turned into float64 at once, so that they stay in the processor's cache."""
_LARGEST = float(np.finfo(np.float32).max)


def _significands(values: np.ndarray) -> np.ndarray:
    """Return float16 numbers in units of 2**-24: int64."""
    significand, field = fp16_fields(values)
    return significand << (field - 1)


def _integers(weights: Weights) -> np.ndarray:
    """Return a matrix in golden's units: int64, (rows, columns). No format's integers have more than 49 bits."""
    if isinstance(weights, CompressedMatrix):
        rows, cols = weights.shape
        shifts = weights.exponents.astype(np.int64) - weights.fmt.exp_min
        return (decode.numerators(weights) << shifts[..., None]).reshape(rows, -1)[:, :cols]
    if isinstance(weights, GroupMatrix):
        (_, cols), (_, groups) = weights.shape, weights.scales.shape
        group = np.minimum(np.arange(cols) // weights.fmt.group, groups - 1)
        return weights.codes * _significands(weights.scales)[:, group]
    if isinstance(weights, TrellisMatrix):
        return weights.integers()
    return _significands(weights)


def _digits(integers: np.ndarray, width: int, bound: float) -> list[np.ndarray]:
    """Cut integers, (rows, columns), into digits of ``width`` bits, the lowest first, until the magnitudes of each row
    of the last one sum up to ``bound`` at most."""
    found = []
    while float(np.abs(integers).astype(np.float64).sum(axis=1).max(initial=0)) > bound:
        found.append(integers & ((1 << width) - 1))
        integers = integers >> width
    return [*found, integers]


def _block_floating(x: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Convert float16 vectors, (tokens, columns), each as :func:`golden.activations.to_block_floating_point` does:
    float64 integers, and the shared exponent of each vector, (tokens,)."""
    significand, field = fp16_fields(x)
    shared = field.max(axis=1, initial=1)
    places = bits - 2 - FP16_FRACTION - (shared[:, None] - field)
    limit = (1 << (bits - 1)) - 1
    return np.rint(np.ldexp(significand.astype(np.float64), places)).clip(-limit, limit), shared


def _total(parts: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Return sums of ``part * 2**power``, exact integers below 2**96, as float64 with their last bit rounded to odd
    where they are not exact: whatever rounds them to fewer bits gives what it would give of the exact sum."""
    high, low = (np.zeros(parts[0][0].shape, np.int64) for _ in range(2))
    for part, power in parts:
        whole = part.astype(np.int64)
        if power >= _SPLIT:
            high += whole << (power - _SPLIT)
        else:
            high += whole >> (_SPLIT - power)
            low += (whole & ((1 << (_SPLIT - power)) - 1)) << power
    high += low >> _SPLIT
    upper, lower = np.ldexp(high.astype(np.float64), _SPLIT), (low & ((1 << _SPLIT) - 1)).astype(np.float64)
    total = upper + lower
    rest = lower - (total - upper)  # what the sum has lost, exactly, as lower is the smaller one or all there is
    even = (total.view(np.int64) & 1) == 0
    return np.where((rest != 0) & even, np.nextafter(total, np.copysign(np.inf, rest)), total)


def _round_to_24_bits(values: np.ndarray) -> np.ndarray:
    """Return float64 numbers rounded to 24 significant bits, ties to even."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(np.ldexp(mantissa, 24)), exponent - 24)


class ExactMatrix:
    """A matrix that is multiplied with many vectors.

    Parameters
    ----------
    weights : Weights
    act_bits : int
        Width of an activation in bits; FP16's activations stay FP16.
    """

    def __init__(self, weights: Weights, act_bits: int = ACT_BITS) -> None:
        fmt, self.shape = format_of(weights), weights.shape
        self._bits, self._block_floating = act_bits, fmt.block_floating
        self._rotated = not isinstance(weights, np.ndarray) and weights.rotated
        bias = weights.exponent_bias if isinstance(weights, CompressedMatrix | TrellisMatrix) else 0
        # The factor of each row, (rows, 1), or the one of all of them.
        self._factor = np.full((1, 1), factor(fmt, bias, act_bits), np.float64)
        if isinstance(weights, CompressedMatrix | TrellisMatrix) and weights.scales is not None:
            self._factor = self._factor * _significands(weights.scales)[:, None]
        integers = _integers(weights)
        common = np.bitwise_or.reduce(integers, axis=1)
        self._powers = np.frexp((common & -common).astype(np.float64))[1] - 1  # -1, of a row of zeros, does no harm
        integers >>= np.maximum(self._powers, 0)[:, None]
        element = act_bits - 1 + (ROTATION_GROWTH if self._rotated else 0) if fmt.block_floating else _FP16_DIGIT
        room = _EXACT_BITS - element
        self._width = room - max(self.shape[1] - 1, 1).bit_length()
        self._digits = [digit.astype(np.int32 if np.abs(digit).max(initial=0) < 1 << 31 else np.float64)
                        for digit in _digits(integers, self._width, 2.0**room)]

    def _elements(self, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray | int]:
        """Return the digits of vectors, float64, (columns, tokens), and the power of two of each vector."""
        if self._block_floating:
            elements, shared = _block_floating(x, self._bits)
            if self._rotated:
                elements, shared = rotated_inputs(elements.astype(np.int64)).astype(np.float64), shared + SHIFT
            return [elements.T], shared
        integers = _significands(x).T
        return [(integers & ((1 << _FP16_DIGIT) - 1)).astype(np.float64), (integers >> _FP16_DIGIT).astype(np.float64)
                ], 0

    def product(self, x: np.ndarray) -> np.ndarray:
        """Return the products with vectors: float32, (tokens, rows).

        Parameters
        ----------
        x : ndarray
            float16, (tokens, columns).

        Raises
        ------
        ValueError
            When ``x`` has another shape or type, or is not finite.
        """
        rows, cols = self.shape
        if x.ndim != 2 or x.shape[1] != cols:
            raise ValueError(f"activations must have shape (tokens, {cols}), not {x.shape}")
        elements, shared = self._elements(require_finite(x, "activations"))
        result, step = np.empty((len(x), rows), np.float32), max(_ROWS // cols, 1)
        for start in range(0, rows, step):
            part = slice(start, start + step)
            parts = [(digit[part].astype(np.float64, copy=False) @ element, i * self._width + j * _FP16_DIGIT)
                     for i, digit in enumerate(self._digits) for j, element in enumerate(elements)]
            sums = parts[0][0] if len(parts) == 1 else _total(parts)
            factors = self._factor if len(self._factor) == 1 else self._factor[part]
            scaled = _round_to_24_bits(sums) * factors + 0.0  # never -0, where a scale is zero
            power = np.maximum(self._powers[part], 0)[:, None] + shared
            result[:, part] = _round_to_24_bits(np.ldexp(scaled, power)).clip(-_LARGEST, _LARGEST).T
        return result
