"""When the DRAM is refreshed.

Refreshes of all banks fall due every ``refresh_interval`` cycles from reset, whatever else goes on, and take place at
once. No row is opened that could not be closed again (tRAS) by then.

Refreshes of single banks fall due every ``t_refi_bank``, for a unit of ``refresh_banks`` banks at a time. Two of them
are at least tPBR2PBR apart. An ordinary controller takes the units in the order of a counter, each as soon as it is
due, whether requests under way need its banks or not.

With ``refresh_hidden`` each unit is refreshed once in a round, in any order. Among the units that the round has not
refreshed yet, only those are eligible that no request under way needs, and of these the one is chosen that a sequential
stream will reach last, so that the refresh is hidden. While no unit is eligible, refreshes are postponed; when no more
may be postponed, any unit is eligible.

The choice is combinational: the latency is 0. A unit is refreshed in every cycle, as far as tPBR2PBR allows.
"""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.dram.dram import Dram
from sim.dram.times import START, TIME

__all__ = ["MAX_POSTPONED", "Refresh"]

MAX_POSTPONED = 8
"""Refreshes that may be postponed: a standard's limit (JEDEC JESD79-3, Refresh Command; its successors keep it)."""


class Refresh(wiring.Component):
    """Decides which banks are refreshed, and when.

    Parameters
    ----------
    dram : Dram
    units : int
        Units of banks that are refreshed together.

    Members
    -------
    now : In(TIME)
        The time at which this cycle begins.
    idle : In(units)
        The units that no request under way needs.
    accessed_bank : In(range(banks))
        The bank, in whatever bank group, that was accessed last.
    unit_ready : In(1)
        The last refresh of single banks is tPBR2PBR ago.
    refresh_all : Out(1)
        In this cycle all banks begin to be refreshed, as soon as they can be closed.
    due_at : Out(TIME)
        The time of the next refresh of all banks; the end of time when there are none.
    refresh_unit : Out(1)
        In this cycle ``unit`` begins to be refreshed, as soon as its banks can be closed. No row may be opened in this
        cycle.
    unit : Out(range(units))
        The unit that is refreshed.
    forced : Out(1)
        The refresh of this cycle may close rows that requests under way need. No word may be accessed in this cycle.
    """

    def __init__(self, dram: Dram, units: int) -> None:
        self._dram, self._units = dram, units
        super().__init__({
            "now": In(TIME), "idle": In(units), "accessed_bank": In(range(max(2, dram.banks))),
            "unit_ready": In(1),
            "refresh_all": Out(1), "due_at": Out(TIME, init=(1 << TIME) - 1),
            "refresh_unit": Out(1), "unit": Out(range(units)), "forced": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._dram.t_refi_bank:
            outstanding = self._outstanding(m)
            if self._dram.refresh_hidden:
                self._hidden_units(m, outstanding)
            else:
                self._units_in_order(m, outstanding)
        elif self._dram.t_refi:
            interval = self._dram.refresh_interval * self._dram.ratio
            due_at = Signal(TIME, init=START + interval)
            m.d.comb += [self.due_at.eq(due_at), self.refresh_all.eq(self.now == due_at),
                         self.forced.eq(self.refresh_all)]
            with m.If(self.refresh_all):
                m.d.sync += due_at.eq(due_at + interval)
        return m

    def _outstanding(self, m: Module) -> Signal:
        """Refreshes of single banks that are due and have not taken place."""
        interval = self._dram.t_refi_bank // self._dram.ratio
        countdown, outstanding = Signal(range(interval), init=interval - 1), Signal(range(MAX_POSTPONED + 2))
        m.d.sync += [
            countdown.eq(Mux(countdown == 0, interval - 1, countdown - 1)),
            outstanding.eq(outstanding + (countdown == 0) - self.refresh_unit),
            Assert(outstanding <= MAX_POSTPONED + 1),
            Assert(~self.refresh_unit | self.unit_ready),
        ]
        return outstanding

    def _units_in_order(self, m: Module, outstanding: Signal) -> None:
        """Refreshes of single banks in the order of a counter."""
        following = Signal.like(self.unit)
        m.d.comb += [
            self.unit.eq(following),
            self.refresh_unit.eq((outstanding != 0) & self.unit_ready),
            self.forced.eq(self.refresh_unit & ~self.idle.bit_select(following, 1)),
        ]
        with m.If(self.refresh_unit):
            m.d.sync += following.eq(Mux(following == self._units - 1, 0, following + 1))

    def _hidden_units(self, m: Module, outstanding: Signal) -> None:
        """Refreshes of single banks that a sequential stream does not meet."""
        dram, units = self._dram, self._units
        overdue = Signal()
        pending, eligible = Signal(units, init=(1 << units) - 1), Signal(units)  # of this round
        remaining = Signal(units)
        m.d.comb += [
            overdue.eq(outstanding > MAX_POSTPONED),
            eligible.eq(pending & Mux(overdue, ~0, self.idle)),
            self.refresh_unit.eq((outstanding != 0) & (eligible != 0) & self.unit_ready),
            self.forced.eq(overdue & self.refresh_unit),
            remaining.eq(pending & ~(1 << self.unit)),
        ]
        with m.Switch(self.accessed_bank):
            for bank in range(dram.banks):
                with m.Case(bank):
                    # A sequential stream comes to the banks below ``bank`` last; the last assignment holds.
                    for unit in sorted(range(units), key=lambda unit: (unit - bank) % dram.banks):
                        with m.If(eligible[unit]):
                            m.d.comb += self.unit.eq(unit)
        with m.If(self.refresh_unit):
            m.d.sync += pending.eq(Mux(remaining == 0, (1 << units) - 1, remaining))
