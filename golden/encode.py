"""A plain encoder: every seed tried, coefficients rounded (paper, algorithm 3). Slow and readable, the yardstick for
faster ones.

There are two rules for the exponent. "printed" is the paper's own (section 3.2), e = max floor(log2 |t|). It scales the
largest coefficient into [1, 2), so that the codes are -2 to 2 alone. "paper" is ours, because the paper gives no other:
it takes e lower by coef_bits - 2, which scales the largest coefficient into [(coef_max + 1) / 2, coef_max + 1).

The relative errors known of these rules, on Gaussian weights, are not the paper's. "printed" gives 0.191 with 4 bits a
weight and 0.303 with 3. So does a third party's replication, seedlm-repro (https://github.com/qiuyu-ren/seedlm-repro,
results/validation_report.txt at 5f42af6: 0.1912 and 0.3030); its own rule, e = ceil(log2(max |t| / 7.5)), gives 0.1230
and 0.2257 there. "paper" gives 0.122 and 0.224.
"""

from functools import lru_cache
from typing import Literal

import numpy as np

from golden.block import CompressedMatrix
from golden.projection import u_matrix
from golden.spec import EXP_MAX, EXP_MIN, BlockFormat

__all__ = ["Rounding", "encode", "quantise"]

Rounding = Literal["paper", "printed"]
"""The rules for the exponent, as above."""

_CHUNK = 1 << 14  # seeds tried at a time


@lru_cache(maxsize=4)
def _tables(fmt: BlockFormat) -> tuple[np.ndarray, np.ndarray]:
    """U(s) and its pseudo-inverse for every seed: float64, (seeds, c, p) and (seeds, p, c)."""
    u = u_matrix(np.arange(1, fmt.seeds + 1), fmt)
    return u, np.linalg.pinv(u)


def quantise(t: np.ndarray, fmt: BlockFormat, rounding: Rounding = "paper") -> tuple[np.ndarray, np.ndarray]:
    """Round real coefficients to codes and a shared exponent.

    ``t`` is float64 of shape ``S + (p,)``; returns int64 exponents of shape ``S`` and int64 codes of shape
    ``S + (p,)``. Zero coefficients get the least exponent.
    """
    _, power = np.frexp(np.abs(t).max(axis=-1))  # max = m * 2**power with m in [0.5, 1)
    lowered = 0 if rounding == "printed" else fmt.coef_bits - 2
    exponent = np.where(t.any(axis=-1), power - 1 - lowered, EXP_MIN).clip(EXP_MIN, EXP_MAX)
    codes = np.rint(np.ldexp(t, -exponent[..., None])).clip(fmt.coef_min, fmt.coef_max)
    return exponent.astype(np.int64), codes.astype(np.int64)


def _encode_block(w: np.ndarray, fmt: BlockFormat, rounding: Rounding) -> tuple[int, int, np.ndarray]:
    """Seed, exponent and codes of the least squared error for the ``c`` weights ``w``."""
    u, pinv = _tables(fmt)
    best: tuple[float, int, int, np.ndarray] | None = None
    for start in range(0, fmt.seeds, _CHUNK):
        part = slice(start, start + _CHUNK)
        exponent, codes = quantise(pinv[part] @ w, fmt, rounding)
        restored = np.einsum("scp,sp->sc", u[part], np.ldexp(codes.astype(float), exponent[:, None]))
        error = np.square(restored - w).sum(axis=-1)
        i = int(error.argmin())
        if best is None or error[i] < best[0]:
            best = (float(error[i]), start + i + 1, int(exponent[i]), codes[i])
    assert best is not None
    return best[1:]


def encode(weights: np.ndarray, fmt: BlockFormat, rounding: Rounding = "paper") -> CompressedMatrix:
    """Compress a (rows, columns) float matrix, one block after another, some 20 ms each for k = 16.

    Raises
    ------
    ValueError
        When a weight is NaN or infinite, or the format has no exponents.
    """
    if not fmt.exp_bits:
        raise ValueError(f"{fmt.name} has no exponents to round to")
    weights = np.asarray(weights, dtype=np.float64)
    if not np.isfinite(weights).all():
        raise ValueError("weights contain NaN or infinity")
    rows, cols = weights.shape
    blocks = -(-cols // fmt.c)
    padded = np.pad(weights, ((0, 0), (0, blocks * fmt.c - cols))).reshape(rows, blocks, fmt.c)
    seeds = np.empty((rows, blocks), dtype=np.uint32)
    exponents = np.empty((rows, blocks), dtype=np.int8)
    coefs = np.empty((rows, blocks, fmt.p), dtype=np.int8)
    for index in np.ndindex(rows, blocks):
        seeds[index], exponents[index], coefs[index] = _encode_block(padded[index], fmt, rounding)
    return CompressedMatrix(fmt, (rows, cols), seeds, exponents, coefs)
