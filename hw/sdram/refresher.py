"""Refreshes of an SDRAM chip, one in every interval that its data sheet allows.

When a refresh is due, the refresher waits until the bank machine has released all rows. It then precharges all banks
and refreshes the chip. After that the bank machine may open rows again.

Latency: the refresh command is accepted tRP cycles after ``released`` has risen. Rate: one refresh in each interval of
tREFI, for which no row is open during tRP + tRFC cycles.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import SdramPart
from hw.sdram.pins import ALL_BANKS, Command
from hw.sdram.row_command import RowCommandSignature

__all__ = ["Refresher"]


class Refresher(wiring.Component):
    """The interval timer, and the two commands of a refresh.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float
        Clock of the design and of the chip.

    Members
    -------
    initialised : In(1)
        0 while the chip is being initialised, which refreshes it: nothing is due then.
    due : Out(1)
        1 from the end of an interval until the refresh command has been accepted.
    released : In(1)
        All rows may be closed, and stay so while ``due`` is 1.
    row_command : Out(RowCommandSignature)
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({"initialised": In(1), "due": Out(1), "released": In(1),
                          "row_command": Out(RowCommandSignature(part))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row_command = self.row_command
        interval = self._part.refresh_interval(self._clock_mhz)
        timer = Signal(range(interval), init=interval - 1)
        m.d.sync += timer.eq(Mux(timer == 0, interval - 1, timer - 1))
        with m.If(timer == 0):
            m.d.sync += self.due.eq(1)

        m.d.comb += row_command.address.eq(ALL_BANKS)
        with m.FSM():
            with m.State("CLOSE"):
                m.d.comb += [row_command.requested.eq(self.due & self.released),
                             row_command.command.eq(Command.PRECHARGE)]
                with m.If(row_command.accepted):
                    m.next = "REFRESH"
            with m.State("REFRESH"):
                m.d.comb += [row_command.requested.eq(1), row_command.command.eq(Command.REFRESH)]
                with m.If(row_command.accepted):
                    m.d.sync += self.due.eq(0)
                    m.next = "CLOSE"
        with m.If(~self.initialised):
            m.d.sync += self.due.eq(0)
        return m
