"""How a folder shows that a compression or a decompression into it was begun and not finished."""

import os
from pathlib import Path

from host.errors import UserError

__all__ = ["JOB", "PARTS", "require_finished"]

PARTS = ".parts"
"""Name of the journal inside the folder (:mod:`host.compress.journal`)."""
JOB = "job"
"""Name of the file of the journal that is removed last."""


def require_finished(folder: Path) -> None:
    """Check that nothing of a model is still missing.

    Raises
    ------
    UserError
        When the folder is that of an unfinished run.
    """
    if os.path.isfile(folder / PARTS / JOB):
        raise UserError(f"{folder} holds an unfinished compression or decompression: give the same command again, "
                        "which goes on where it stopped")
