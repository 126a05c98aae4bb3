"""What tells one board from another."""

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
    platform : class
        Of amaranth-boards: pins and device. Its resources ``sdram`` and ``uart`` are used, and those of ``leds``.
    part : SdramPart
        The chip that is fitted; where it may be one of several, the slowest of them.
    target : Ecp5
        The device as nextpnr names it; its clock is that of the design and of the SDRAM.
    leds : tuple of (str, int, str)
        Resource, its number, and its subsignal if it has any: the first shows the first of
        :data:`hw.boards.system.LEDS`.
    flash : str
        What openFPGALoader calls it.
    """

    name: str
    platform: type
    part: SdramPart
    target: Ecp5
    leds: tuple[tuple[str, int, str], ...]
    flash: str

    @property
    def clock_hz(self) -> int:
        """Of the design and of the SDRAM."""
        return round(self.target.target_mhz * 1e6)
