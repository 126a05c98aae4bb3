"""The folder that each command leaves its results in, and files that are whole at any moment."""

import os
from pathlib import Path
from tempfile import TemporaryFile
from threading import get_ident

from golden.tree import BUILD, REPORTS
from host.errors import UserError, cure_of_writing

__all__ = ["kept_folder", "report_folder", "write_whole"]


def report_folder(name: str) -> Path:
    """Return the folder of a command's report, ``build/<name>``, which is created if need be.

    Raises
    ------
    UserError
        When the folder cannot be written to.
    """
    return _writable(REPORTS / name)


def kept_folder(name: str) -> Path:
    """Return the folder of what is made once and found again, which is created if need be.

    Raises
    ------
    UserError
        When the folder cannot be written to.
    """
    return _writable(BUILD / name)


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): {cure_of_writing(error)}, or set "
                        "SEEDLM_BUILD to another folder") from None
    return folder


def write_whole(path: Path, text: str) -> None:
    """Write a file that is whole at any moment, also when several commands write it at once: the last one counts.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.part")
    try:
        part.write_text(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
