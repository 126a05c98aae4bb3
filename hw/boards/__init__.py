"""Boards by name. A board is described in a small file of its own here, and listed in :data:`BOARDS`."""

from hw.boards.board import Board
from hw.boards.icesugar_pro import ICESUGAR_PRO
from hw.boards.ulx3s_85f import ULX3S_85F

__all__ = ["BOARDS"]

BOARDS: dict[str, Board] = {board.name: board for board in (ULX3S_85F, ICESUGAR_PRO)}
"""The boards that bitstreams are made for, by name."""
