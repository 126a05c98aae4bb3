"""The folder that each command leaves its results in."""

from pathlib import Path

from golden.tree import BUILD
from host.errors import UserError

__all__ = ["report_folder"]


def report_folder(name: str) -> Path:
    """Return ``build/<name>``, which is created if need be.

    Raises
    ------
    UserError
        When the folder cannot be written to.
    """
    folder = BUILD / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): make it writable, or set SEEDLM_BUILD to "
                        "another folder") from None
    return folder
