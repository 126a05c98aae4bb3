"""Initialisation and refreshes of the SDRAM chip's model: the order of the first commands, the mode register, tREFI.

A chip wants, in this order, time to power up, a precharge of all banks, some refreshes and its mode. From then on it
wants a refresh in each interval of tREFI, on average.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import SdramPart
from hw.sdram.pins import ALL_BANKS, Command
from sim.board.chip_checks import Checks, CommandSignature

__all__ = ["ChipInitialisation"]

_LATE_REFRESHES = 2
"""Refreshes that may be outstanding: the interval is an average, and a controller finishes what it is at. The data
sheets allow more, up to all refreshes of a period at once."""


class ChipInitialisation(wiring.Component):
    """Checks of commands that concern the whole chip.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float

    Members
    -------
    i : In(CommandSignature)
    clk_en : In(1)
    initialised : Out(1)
        1 from the clock after that of the first mode command.
    burst : Out(4)
        Transfers of a column command: 1, 2, 4 or 8.
    latency : Out(3)
        The CAS latency in clocks.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({"i": In(CommandSignature(part)), "clk_en": In(1), "initialised": Out(1), "burst": Out(4),
                          "latency": Out(3)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        checks = Checks(m, self._part, self._clock_mhz)
        self._check_order(m, checks)
        self._check_spacing(m, checks)
        self._check_interval(m, checks)
        with m.If(self.i.command == Command.MODE):
            checks.check((self.i.ba == 0) & (self.i.a & ~0x77 == 0) & (self.i.a[:3] <= 3) & (self.i.a[4:7] >= 2)
                         & (self.i.a[4:7] <= 3), "mode: not sequential bursts at a legal CAS latency")
            m.d.sync += [self.burst.eq(1 << self.i.a[:2]), self.latency.eq(self.i.a[4:7]), self.initialised.eq(1)]
        with m.If(self.initialised):
            checks.check(self.clk_en, "clock enable is low: not in this model")
        return m

    def _check_order(self, m: Module, checks: Checks) -> None:
        """Power-up, precharge of all banks, refreshes, mode."""
        command, part = self.i.command, self._part
        power_up_cycles = part.cycles(part.power_up_us * 1000, self._clock_mhz)
        power_up = Signal(range(power_up_cycles + 1), init=power_up_cycles)
        closed, refreshes = Signal(), Signal(range(part.power_up_refreshes + 1))
        with m.If(power_up != 0):
            m.d.sync += power_up.eq(power_up - 1)
        with m.If(command != Command.NOTHING):
            checks.check(power_up == 0, "initialisation: command before the end of power-up")
        with m.Switch(command):
            with m.Case(Command.PRECHARGE), m.If(self.i.a & ALL_BANKS != 0):
                m.d.sync += closed.eq(1)
            with m.Case(Command.REFRESH):
                checks.check(closed, "initialisation: refresh before precharge of all banks")
                m.d.sync += refreshes.eq(Mux(refreshes == part.power_up_refreshes, refreshes, refreshes + 1))
            with m.Case(Command.MODE):
                checks.check(refreshes == part.power_up_refreshes, "initialisation: mode before enough refreshes")
            with m.Case(Command.ACTIVATE):
                checks.check(self.initialised, "initialisation: activate before mode")

    def _check_spacing(self, m: Module, checks: Checks) -> None:
        """Refresh or mode to any other command."""
        command = self.i.command
        since_refresh = checks.since(command == Command.REFRESH, "refresh")
        since_mode = checks.since(command == Command.MODE, "mode")
        with m.If(command != Command.NOTHING):
            checks.check(since_refresh >= checks.clocks("t_rfc"), "tRFC: command after refresh")
            checks.check(since_mode >= self._part.t_mrd_ck, "tMRD: command after mode")

    def _check_interval(self, m: Module, checks: Checks) -> None:
        """One refresh for each interval."""
        interval = self._part.refresh_interval(self._clock_mhz)
        timer, outstanding = Signal(range(interval)), Signal(range(_LATE_REFRESHES + 2))
        refreshed = (self.i.command == Command.REFRESH) & (outstanding != 0)
        with m.If(self.initialised):
            m.d.sync += [
                timer.eq(Mux(timer == interval - 1, 0, timer + 1)),
                outstanding.eq(outstanding + (timer == interval - 1) - refreshed),
            ]
            checks.check(outstanding <= _LATE_REFRESHES, "tREFI: refresh is late")
