"""What calibration finds out about an input of linear layers, as arrays and as the content of a file."""

import io
from typing import NamedTuple

import numpy as np

from host.errors import UserError

__all__ = ["Moments", "from_bytes", "to_bytes"]


class Moments(NamedTuple):
    """What is known of an input x that a compressed model has, where x' is the same input in the model as it is.

    ``own`` is the mean of x x^T over all tokens: float32, (columns, columns), symmetric. ``drift`` is half of the
    matrix that predicts x' - x from x best: float16, (columns, columns). A matrix W that reads x should give W x', so
    ``W (1 + drift)`` suits x better than W does; half of it is more than chance of the samples.
    """

    own: np.ndarray
    drift: np.ndarray


def to_bytes(moments: Moments) -> bytes:
    """Return moments as an archive of NumPy's. Of the symmetric matrix it holds one half."""
    content = io.BytesIO()
    np.savez(content, own=np.concatenate([row[at:] for at, row in enumerate(moments.own)]), drift=moments.drift)
    return content.getvalue()


def from_bytes(content: bytes, what: str) -> Moments:
    """Return what :func:`to_bytes` made an archive of.

    Parameters
    ----------
    what : str
        What the archive is called, for the refusal.

    Raises
    ------
    UserError
        When it is no such archive.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            drift, half = kept["drift"], kept["own"]
        columns = len(drift)
        if drift.shape != (columns, columns) or half.shape != (columns * (columns + 1) // 2,):
            raise ValueError(f"shapes {drift.shape} and {half.shape}")
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(f"{what} holds no statistics of an input ({error}): remove it") from error
    own, at = np.zeros((columns, columns), np.float32), 0
    for row in range(columns):
        own[row, row:] = own[row:, row] = half[at:at + columns - row]
        at += columns - row
    return Moments(own, drift)
