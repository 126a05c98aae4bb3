"""The exceptions that users see."""

__all__ = ["CheckError", "TargetError", "UserError"]


class UserError(Exception):
    """Something the user can mend: one clear sentence that names the thing and the cure."""


class CheckError(RuntimeError):
    """A result that differs from golden: a fault of this program or of the machine."""


class TargetError(RuntimeError):
    """A measured figure misses the target that was set for it."""
