"""The steps of :func:`host.measure.on_board.run`, as it and its device name them."""

from host.display.meter import Step

__all__ = ["on_board_steps"]

_STEPS = {"compress": 5.0, "load": 60.0, "verify": 60.0, "run": 5.0}
"""Seconds of each step for 2048 x 2048 in seedlm4 over a serial line, about."""
_SIMULATED = {"build the simulator": 60.0, "compress": 5.0, "load": 150.0, "verify": 150.0, "run": 60.0}
"""The same on a simulated board."""


def on_board_steps(simulated: str = "") -> list[Step]:
    """Return the steps on a device, or those on a simulated board, whose names begin with that of the format."""
    before = f"{simulated}: " if simulated else ""
    return [Step((before + name,), seconds, name, before + name)
            for name, seconds in (_SIMULATED if simulated else _STEPS).items()]
