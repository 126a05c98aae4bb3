"""Which cycles a waveform has."""

import re
from dataclasses import dataclass

from sim.tools.errors import ToolError

__all__ = ["Window", "require_window"]

_LAST = (1 << 63) - 1


@dataclass(frozen=True)
class Window:
    """A range of cycles. Number 0 is the first rising edge of the clock, and number 2 the one that ends the reset.

    Parameters
    ----------
    first, last : int
        Numbers of the first and of the last cycle.
    """

    first: int = 0
    last: int = _LAST

    @property
    def whole(self) -> bool:
        """Whether it has all cycles."""
        return self == Window()

    @classmethod
    def parse(cls, text: str) -> "Window | None":
        """Return the window that a user asks for: ``first:last``, where either may be missing; any other number but 0
        is everything; an empty text or ``0`` is none.

        Raises
        ------
        ToolError
            When the text is neither, or the last cycle is before the first one.
        """
        if text in ("", "0"):
            return None
        if re.fullmatch(r"\d{1,18}", text):
            return cls()
        match = re.fullmatch(r"(\d{0,18}):(\d{0,18})", text)
        window = cls(int(match[1] or 0), int(match[2] or _LAST)) if match else None
        if window is None or window.last < window.first:
            raise ToolError(f"{text!r} is no window of cycles: give WAVES=1 for all, or WAVES=first:last, for example "
                            "WAVES=0:20000")
        return window


def require_window(window: Window | None, simulator: str) -> Window | None:
    """Return a window that a simulator can dump.

    Raises
    ------
    ToolError
        When a part is wanted of Icarus.
    """
    if window and simulator != "verilator" and not window.whole:
        raise ToolError("with Icarus there are waveforms of all cycles only: use WAVES=1, or SIM=verilator")
    return window
