"""Initialisation of an SDRAM chip after power-up, as every data sheet prescribes it.

The chip is left alone for its power-up time. Then all banks are precharged, the prescribed number of refreshes follows,
and the mode register is set.

Latency: ``initialised`` rises tRP + refreshes * tRFC + 2 cycles after the power-up time has passed.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hw.sdram.part import CAS_LATENCY, SdramPart
from hw.sdram.pins import ALL_BANKS, Command
from hw.sdram.row_command import RowCommandSignature
from hw.sdram.segment import BURST

__all__ = ["Initialiser"]

_MODE = (BURST - 1).bit_length() | CAS_LATENCY << 4
"""Address pins that set the mode: bits 0 to 2 hold the logarithm of the burst's length, bit 3 is 0 for sequential
bursts, bits 4 to 6 hold the CAS latency, and bit 9 is 0 for bursts in writes too (Micron, 256Mb: x4, x8, x16 SDRAM,
"Mode Register Definition"; the other parts' data sheets have the same)."""


class Initialiser(wiring.Component):
    """The commands that come before all others.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float
        Clock of the design and of the chip.

    Members
    -------
    row_command : Out(RowCommandSignature)
    initialised : Out(1)
        1 from the cycle in which the pins have the command that sets the mode.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({"row_command": Out(RowCommandSignature(part)), "initialised": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, row_command = self._part, self.row_command
        power_up_cycles = part.cycles(part.power_up_us * 1000, self._clock_mhz)
        power_up = Signal(range(power_up_cycles + 1), init=power_up_cycles)
        refreshes = Signal(range(part.power_up_refreshes))

        with m.FSM() as fsm:
            with m.State("POWER_UP"):
                m.d.sync += power_up.eq(power_up - 1)
                with m.If(power_up == 0):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                self._request(m, Command.PRECHARGE, ALL_BANKS)
                with m.If(row_command.accepted):
                    m.next = "REFRESH"
            with m.State("REFRESH"):
                self._request(m, Command.REFRESH)
                with m.If(row_command.accepted):
                    m.d.sync += refreshes.eq(refreshes + 1)
                    with m.If(refreshes == part.power_up_refreshes - 1):
                        m.next = "MODE"
            with m.State("MODE"):
                self._request(m, Command.MODE, _MODE)
                with m.If(row_command.accepted):
                    m.next = "INITIALISED"
            with m.State("INITIALISED"):
                pass
        m.d.comb += self.initialised.eq(fsm.ongoing("INITIALISED"))
        return m

    def _request(self, m: Module, command: Command, address: int = 0) -> None:
        """Request a command in the state that calls this."""
        m.d.comb += [self.row_command.requested.eq(1), self.row_command.command.eq(command),
                     self.row_command.address.eq(address)]
