"""The one exception that users see."""

__all__ = ["UserError"]


class UserError(Exception):
    """Something the user can mend: one clear sentence that names the thing and the cure."""
