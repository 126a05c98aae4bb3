"""Files of others, opened without waiting for ever and read without trusting what they announce."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from host.errors import UserError

__all__ = ["open_regular", "read_range"]


def open_regular(path: Path, cure: str) -> BinaryIO:
    """Open a regular file for reading.

    Parameters
    ----------
    cure : str
        What the user can do when it cannot be opened; it ends the message.

    Raises
    ------
    UserError
        When it cannot be opened, or is a folder, a device, a socket or a pipe, which could make a reader wait for ever.
    """
    try:
        # Without O_NONBLOCK, the opening of a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise UserError(f"cannot read {path} ({getattr(error, 'strerror', None) or error}): {cure}") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise UserError(f"cannot read {path} ({'a folder' if stat.S_ISDIR(mode) else 'a device, a socket or a pipe'}, "
                        f"not a file): {cure}")
    return open(descriptor, "rb")


def read_range(path: Path, start: int, size: int, cure: str) -> bytes:
    """Read ``size`` bytes of a regular file from ``start`` on.

    Parameters
    ----------
    cure : str
        As for :func:`open_regular`.

    Raises
    ------
    UserError
        When the file cannot be read, or ends before the last of the bytes.
    """
    with open_regular(path, cure) as file:
        # Nothing is allocated for bytes that are not there.
        if start + size > os.fstat(file.fileno()).st_size:
            raise UserError(f"cannot read {path} (it has become shorter): {cure}")
        try:
            file.seek(start)
            content = file.read(size)
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror}): {cure}") from error
    if len(content) != size:
        raise UserError(f"cannot read {path} (it has become shorter): {cure}")
    return content
