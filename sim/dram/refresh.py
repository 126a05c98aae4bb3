"""When the DRAM is refreshed.

All banks at once: every ``refresh_interval`` cycles from reset, whatever goes on; no row is opened that could not be
closed again (tRAS) by then. Single banks: a unit of banks falls due every ``t_refi_bank``, and of those not yet
refreshed in this round the one is taken that nobody is about to use and that a sequential stream will come to last, so
that the refresh is hidden. While there is none it is put off, as the standards allow for eight; then any is taken.
"""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.dram.presets import Dram
from sim.dram.times import START, TIME

__all__ = ["Refresh"]

_PUT_OFF = 8
"""Refreshes that may be put off."""


class Refresh(wiring.Component):
    """Decides on refreshes.

    Parameters
    ----------
    dram : Dram
    units : int
        Units of banks that are refreshed together.

    Members
    -------
    now : In(TIME)
    idle : In(units)
        Units that no request under way needs.
    here : In(range(banks))
        The bank, in whatever group, that was accessed last.
    all : Out(1)
        All banks are refreshed, as soon as they can be closed.
    due : Out(TIME)
        When this is next so; without refreshes of all banks the end of time.
    one : Out(1)
        ``unit`` is refreshed, as soon as it can be closed; no row is opened in this cycle.
    unit : Out(range(units))
    forced : Out(1)
        In ``all`` or ``one``, requests under way may need what is closed; no word is accessed in this cycle.
    """

    def __init__(self, dram: Dram, units: int):
        self._dram, self._units = dram, units
        super().__init__({
            "now": In(TIME), "idle": In(units), "here": In(range(max(2, dram.banks))),
            "all": Out(1), "due": Out(TIME, init=(1 << TIME) - 1),
            "one": Out(1), "unit": Out(range(units)), "forced": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        if self._dram.t_refi_bank:
            self._single(m)
        elif self._dram.t_refi:
            interval = self._dram.refresh_interval * self._dram.ratio
            due = Signal(TIME, init=START + interval)
            m.d.comb += [self.due.eq(due), self.all.eq(self.now == due), self.forced.eq(self.all)]
            with m.If(self.all):
                m.d.sync += due.eq(due + interval)
        return m

    def _single(self, m):
        dram, units = self._dram, self._units
        interval = dram.t_refi_bank // dram.ratio
        left = Signal(range(interval), init=interval - 1)
        owed, late = Signal(range(_PUT_OFF + 2)), Signal()
        waiting, fit = Signal(units, init=(1 << units) - 1), Signal(units)
        rest = Signal(units)
        m.d.comb += [
            late.eq(owed > _PUT_OFF),
            fit.eq(waiting & Mux(late, ~0, self.idle)),
            self.one.eq((owed != 0) & (fit != 0)),
            self.forced.eq(late),
            rest.eq(waiting & ~(1 << self.unit)),
        ]
        with m.Switch(self.here):
            for here in range(dram.banks):
                with m.Case(here):
                    # Banks below ``here`` come last in a sequential stream; the last assignment holds.
                    for unit in sorted(range(units), key=lambda unit: (unit - here) % dram.banks):
                        with m.If(fit[unit]):
                            m.d.comb += self.unit.eq(unit)
        m.d.sync += [
            left.eq(Mux(left == 0, interval - 1, left - 1)),
            owed.eq(owed + (left == 0) - self.one),
            Assert(owed <= _PUT_OFF + 1),
        ]
        with m.If(self.one):
            m.d.sync += waiting.eq(Mux(rest == 0, (1 << units) - 1, rest))
