"""Radiona ULX3S with an LFE5U-85F."""

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from hw.boards.board import Board
from hw.configurations import Ecp5
from hw.sdram.part import AS4C32M16SB_7, IS42S16160G_7, MT48LC16M16A2_75, W9825G6KH_6, slowest

__all__ = ["ULX3S_85F"]

# The SDRAM differs from batch to batch of the board (table of board versions in github.com/emard/ulx3s, README.md). The
# AS4C32M16SB is twice as large as the others; half of it is used.
ULX3S_85F = Board("ulx3s_85f", ULX3S_85F_Platform, slowest(MT48LC16M16A2_75, AS4C32M16SB_7, IS42S16160G_7, W9825G6KH_6),
                  Ecp5(speed=6, target_mhz=100),
                  tuple(("led", number, "") for number in range(4)))
