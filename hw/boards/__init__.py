"""Boards by name. A board is a small file of its own here, and a line of :data:`BOARDS`."""

from hw.boards.icesugar_pro import ICESUGAR_PRO
from hw.boards.ulx3s_85f import ULX3S_85F

__all__ = ["BOARDS"]

BOARDS = {board.name: board for board in (ULX3S_85F, ICESUGAR_PRO)}
