"""MuseLab iCESugar-Pro with an LFE5U-25F."""

from amaranth_boards.icesugar_pro import ICESugarProPlatform

from hw.boards.board import Board
from hw.configurations import Ecp5
from hw.sdram.part import IS42S16160B_7

__all__ = ["ICESUGAR_PRO"]

ICESUGAR_PRO = Board("icesugar_pro", ICESugarProPlatform, IS42S16160B_7,
                     Ecp5(speed=6, target_mhz=100, size="25k", package="CABGA256"),
                     tuple(("rgb_led", 0, colour) for colour in "rgb"))
