"""The properties in which one board differs from another."""

from dataclasses import dataclass

from hw.configurations import Ecp5
from hw.sdram.part import SdramPart

__all__ = ["Board"]


@dataclass(frozen=True)
class Board:
    """A board with an ECP5, an SDR SDRAM of 16 bits and a serial port.

    Parameters
    ----------
    name : str
        Name of the board on the command line and in reports.
    platform : type
        Class of amaranth-boards that knows the board's pins and device. Its resources ``sdram`` and ``uart`` are used,
        and those of ``leds``.
    part : SdramPart
        SDRAM chip on the board. Where boards bear one of several chips, it has the slowest timing of all of them.
    target : Ecp5
        Device as nextpnr names it. Its target clock is the clock of the design and of the SDRAM.
    leds : tuple of (str, int, str)
        Resource, its number, and its subsignal ("" when it has none) of each LED, in the order of
        :data:`hw.boards.board_system.LEDS`.
    """

    name: str
    platform: type
    part: SdramPart
    target: Ecp5
    leds: tuple[tuple[str, int, str], ...]

    @property
    def clock_hz(self) -> int:
        """Clock of the design and of the SDRAM, Hz."""
        return round(self.target.target_mhz * 1e6)
