"""How long work says how far it is, to whoever started it."""

from collections.abc import Callable

__all__ = ["Update", "no_progress"]

Update = Callable[[str, float, float], None]
"""Called with what is at hand, how much is done, and how much there is, in any unit."""


def no_progress(what: str, done: float, total: float) -> None:
    """Show nothing; an :data:`Update`."""
