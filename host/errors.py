"""The exceptions that users see."""

import errno
from collections.abc import Mapping
from typing import TypeVar

from host.printable import printable

__all__ = ["CheckError", "TargetError", "UserError", "WeightsError", "choose", "cure_of_writing"]

_T = TypeVar("_T")


class UserError(Exception):
    """Something the user can mend: one clear sentence that names the thing and the cure.

    The sentence may hold names from outside; it is made :func:`~host.printable.printable`.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


class WeightsError(UserError):
    """Weights that a format cannot hold. The sentence does not name their tensor; who knows it puts its name before."""


class CheckError(RuntimeError):
    """A result differs from golden, which is a fault of this program or of the machine."""


class TargetError(RuntimeError):
    """A measured figure misses the target that was set for it."""


def cure_of_writing(error: OSError) -> str:
    """Return what makes a folder take what could not be written to it: room on a full disk, else the right to write."""
    return "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make it writable"


def choose(name: str, known: Mapping[str, _T], refusal: str) -> _T:
    """Return what is known by a name.

    Parameters
    ----------
    refusal : str
        Format string of the message when there is no such name; it is given the name and all that are known.

    Raises
    ------
    UserError
        When the name is unknown.
    """
    if name not in known:
        raise UserError(refusal.format(name, ", ".join(known)))
    return known[name]
