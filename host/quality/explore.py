"""The paper's search of the design space: all (C, P, K) that spend given bits, on Gaussian and on real weights."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from golden.spec import EXP_BITS, BlockFormat
from host.checkpoint.checkpoint import Checkpoint
from host.encoder.encoder import Mode, encode
from host.errors import UserError
from host.packing import decode
from host.quality.quality import SIGMA, sampled_matrix
from host.tables.quality import ExploreRow

__all__ = ["candidates", "explore", "gaussian_weights", "real_weights"]


def candidates(bits: float, least_k: int, greatest_k: int, greatest_p: int) -> list[BlockFormat]:
    """Return every format of four-bit coefficients that spends exactly ``bits`` a weight, fewest coefficients first.

    Raises
    ------
    UserError
        When there is none.
    """
    found = []
    for p in range(1, greatest_p + 1):
        for k in range(least_k, greatest_k + 1):
            c = (k + EXP_BITS + 4 * p) / bits
            if c == int(c) and p <= c <= 256:
                found.append(BlockFormat(int(c), p, k))
    if not found:
        raise UserError(f"no format with K from {least_k} to {greatest_k} spends {bits:g} bits a weight: choose from "
                        "about 1 to 8, in steps of a quarter")
    return found


def gaussian_weights(count: int) -> np.ndarray:
    """Return ``count`` weights of N(0, SIGMA**2), float32, as one row."""
    return np.random.default_rng(0).normal(0, SIGMA, (1, count)).astype(np.float32)


def real_weights(checkpoint: Checkpoint, names: list[str], count: int) -> np.ndarray:
    """Return about ``count`` weights from rows all over the named matrices, float32, as one row.

    Every tensor is divided by its root mean square, so that all count alike.
    """
    rows = [sampled_matrix(checkpoint, name, max(count // (len(names) * checkpoint.matrix_shape(name)[1]), 1))
            for name in names]
    scaled = [row.ravel() / max(float(np.sqrt(np.mean(np.square(row, dtype=np.float64)))), 1e-30) for row in rows]
    return np.concatenate(scaled).astype(np.float32)[None]


def explore(sources: dict[str, np.ndarray], bits: list[float], least_k: int, greatest_k: int, greatest_p: int,
            mode: Mode, progress: Callable[[str, int, int], None]) -> list[ExploreRow]:
    """Return the relative error of every candidate on every source.

    Parameters
    ----------
    sources : dict of float matrices by name
        What is left of a row beyond its last whole block is not used.
    progress : callable
        Called with the format at hand, formats done and formats in all.
    """
    formats = [(spent, fmt) for spent in bits for fmt in candidates(spent, least_k, greatest_k, greatest_p)]
    rows: list[ExploreRow] = []
    for done, (spent, fmt) in enumerate(formats):
        progress(fmt.name, done, len(formats))
        for name, weights in sources.items():
            whole = weights[:, :weights.shape[1] // fmt.c * fmt.c]
            restored = decode.weights(encode(whole, fmt, mode))
            error = np.linalg.norm(restored - whole) / np.linalg.norm(whole)
            rows.append(ExploreRow(weights=name, bits_per_weight=spent, format=fmt.name, c=fmt.c, p=fmt.p, k=fmt.k,
                                   relative_error=float(error), best=False))
    progress("", len(formats), len(formats))
    least: dict[tuple[str, float], ExploreRow] = {}
    for row in rows:
        least.setdefault((row.weights, row.bits_per_weight), row)
        if row.relative_error < least[row.weights, row.bits_per_weight].relative_error:
            least[row.weights, row.bits_per_weight] = row
    return [replace(row, best=row is least[row.weights, row.bits_per_weight]) for row in rows]
