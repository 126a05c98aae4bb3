"""A board as a simulated design, from its UART's pins: what the bitstream holds, the pads and the SDRAM chip."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec import WeightFormat
from hw.boards.board_system import LEDS, BoardSystem
from hw.sdram.part import SdramPart
from sim.board.sdram_board import SolderedSdram

__all__ = ["SimulatedBoard"]


class SimulatedBoard(wiring.Component):
    """The system of a board and its SDRAM.

    Parameters
    ----------
    fmt : WeightFormat
        Of the weights.
    part : SdramPart
    clock_hz : int
    baud : int
        Bits a second on the serial line.

    Members
    -------
    rx, tx : In(1), Out(1)
        The serial line, 1 when idle.
    leds : Out(4)
        See :data:`hw.boards.board_system.LEDS`.
    """

    def __init__(self, fmt: WeightFormat, part: SdramPart, clock_hz: int, baud: int):
        self._system = BoardSystem(fmt, part, clock_hz, baud)
        self._sdram = SolderedSdram(part, clock_hz / 1e6)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(len(LEDS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.system = system = self._system
        m.submodules.sdram = sdram = self._sdram
        wiring.connect(m, system.sdram, sdram.pins)
        m.d.comb += [system.rx.eq(self.rx), self.tx.eq(system.tx), self.leds.eq(system.leds)]
        return m
