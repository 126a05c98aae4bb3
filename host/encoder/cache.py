"""Compressed matrices, kept between runs in ``build/compressed`` under a digest of all that they depend on."""

import hashlib
import io
from collections.abc import Callable

import numpy as np

from golden.block import CompressedMatrix
from golden.products import file_product
from golden.spec import BlockFormat
from golden.tree import source_digest
from host.encoder.encoder import Mode, encode
from host.folders import kept_folder

__all__ = ["compressed"]


def _digest(weights: np.ndarray, fmt: BlockFormat, mode: Mode) -> str:
    """Name under which the compressed matrix is kept: a digest of the weights, the format, the mode and the encoder's
    sources."""
    what: tuple[object, ...] = (fmt, weights.shape, weights.dtype, np.__version__,
                                source_digest("host.encoder.encoder"))
    if mode != "exact":
        what += (mode,)
    digest = hashlib.sha256(repr(what).encode())
    digest.update(np.ascontiguousarray(weights).data)
    return digest.hexdigest()[:24]


def compressed(weights: np.ndarray, fmt: BlockFormat, progress: Callable[[int, int], None] | None = None,
               mode: Mode = "exact") -> CompressedMatrix:
    """Return ``encode(weights, fmt, mode)``, from the cache if it has been computed before.

    Parameters
    ----------
    weights : float array, (rows, columns)
    progress : callable, optional
        As for :func:`host.encoder.encoder.encode`; never called when the matrix is in the cache.

    Raises
    ------
    UserError
        As :func:`host.encoder.encoder.encode`, and when the cache's folder cannot be written.
    """
    def make() -> bytes:
        matrix, archive = encode(weights, fmt, mode, progress=progress), io.BytesIO()
        np.savez(archive, seeds=matrix.seeds, exponents=matrix.exponents, coefs=matrix.coefs,
                 exponent_bias=matrix.exponent_bias, scales=np.zeros(0) if matrix.scales is None else matrix.scales)
        return archive.getvalue()

    content = file_product(kept_folder("compressed") / f"{_digest(weights, fmt, mode)}.npz", make)
    with np.load(io.BytesIO(content)) as kept:
        return CompressedMatrix(fmt, weights.shape, kept["seeds"], kept["exponents"], kept["coefs"],
                                int(kept["exponent_bias"]), kept["scales"] if fmt.head_blocks else None)
