"""Radiona ULX3S with an LFE5U-85F."""

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from hw.boards.board import Board
from hw.configurations import Ecp5
from hw.sdram_part import MT48LC16M16A2_75

__all__ = ["ULX3S_85F"]

# Boards come with chips of several makers, some of them larger; none is slower, and of the larger ones half is used.
ULX3S_85F = Board("ulx3s_85f", ULX3S_85F_Platform, MT48LC16M16A2_75, Ecp5(speed=6, target_mhz=75),
                  tuple(("led", number, "") for number in range(4)), "ulx3s")
