"""The steps of :func:`host.measure.on_board.run`, as it and its device name them."""

from host.display.meter import Step

__all__ = ["on_board_steps"]

_WEIGHTS = 2048 * 2048
_BUILDING = "build the simulator"
_STEPS = {"compress": 5.0, "load": 60.0, "verify": 60.0, "run": 5.0}
"""Seconds of each step for as many weights in seedlm4 over a serial line, about."""
_SIMULATED = {_BUILDING: 60.0, "compress": 5.0, "load": 150.0, "verify": 150.0, "run": 60.0}
"""The same on a simulated board."""


def on_board_steps(rows: int, cols: int, simulated: str = "") -> list[Step]:
    """Return the steps on a device, or those on a simulated board, whose names begin with that of the format.

    All of them but the building of a simulator take a time in proportion to the weights.
    """
    before, share = f"{simulated}: " if simulated else "", rows * cols / _WEIGHTS
    return [Step((before + name,), seconds * (1 if name == _BUILDING else share), name, before + name)
            for name, seconds in (_SIMULATED if simulated else _STEPS).items()]
