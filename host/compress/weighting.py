"""Channel weights in a folder of ``NAME.npy``: what an error in each column of tensor NAME counts."""

import os
from pathlib import Path

import numpy as np

from host.errors import UserError
from host.regular_file import open_regular

__all__ = ["channel_weights", "weighting_file"]


def weighting_file(folder: Path, name: str) -> Path | None:
    """Return the file of the channel weights of a tensor in a folder of them, or None when there is none.

    The name of a tensor may be anything, such as a path out of the folder, which is not looked at.
    """
    file = f"{name}.npy"
    return folder / file if os.path.basename(file) == file and os.path.lexists(folder / file) else None


def channel_weights(folder: Path | None, name: str) -> np.ndarray | None:
    """Return the channel weights of a tensor, float64, or None when a folder of them, if there is one, has none.

    Raises
    ------
    UserError
        When its file is no ``.npy`` file of numbers.
    """
    path = weighting_file(folder, name) if folder else None
    if path is None:
        return None
    open_regular(path, "save the vector with numpy.save").close()
    try:
        # A mapping cannot be longer than the file, whatever the header announces.
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if found.dtype.kind not in "iuf" or found.ndim != 1:
            raise ValueError(f"it holds {found.dtype} of shape {found.shape}")
        return found.astype(np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is no .npy file of numbers ({error}): save the vector with numpy.save") from error
