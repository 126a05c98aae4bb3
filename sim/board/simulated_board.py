"""A board as a simulated design, UART pins to SDRAM pins: what the bitstream holds, the pads and the chip."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.boards.system import LEDS, BoardSystem
from hw.sdram.part import SdramPart
from sim.board.sdram_board import SolderedSdram

__all__ = ["SimulatedBoard"]


class SimulatedBoard(wiring.Component):
    """The system of a board and its SDRAM; parameters and members as those of BoardSystem."""

    def __init__(self, fmt, part: SdramPart, clock_hz: int, baud: int):
        self._system = BoardSystem(fmt, part, clock_hz, baud)
        self._sdram = SolderedSdram(part, clock_hz / 1e6)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(len(LEDS))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.system = system = self._system
        m.submodules.sdram = sdram = self._sdram
        wiring.connect(m, system.sdram, sdram.pins)
        m.d.comb += [system.rx.eq(self.rx), self.tx.eq(system.tx), self.leds.eq(system.leds)]
        return m
