"""One DRAM bank: the row it holds open, and which commands its timing allows now.

Latency: a command given in cycle ``t`` is in effect from ``t + 1``; the command that it enables is allowed from
``t`` plus the timing between the two. At most one command a cycle.
"""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.dram import Dram

__all__ = ["Bank"]


def _timer(m, name, start, cycles):
    """A signal that is high from the cycle after ``start`` until ``cycles`` after it, when it is low again."""
    left = Signal(range(max(cycles, 1)), name=name)
    with m.If(start):
        m.d.sync += left.eq(max(cycles - 1, 0))
    with m.Elif(left != 0):
        m.d.sync += left.eq(left - 1)
    return left != 0


class Bank(wiring.Component):
    """State and timing of a bank.

    Parameters
    ----------
    dram : Dram
    row_bits : int

    Members
    -------
    activate, precharge : In(1)
        Commands: open ``row``; close the open row. Only when allowed.
    row : In(row_bits)
        Row to open.
    active : Out(1)
        A row is open, or being opened.
    active_row : Out(row_bits)
        That row.
    may_activate : Out(1)
        The bank is closed, tRP after the last precharge and tRC after the last activate.
    may_precharge : Out(1)
        tRAS after the last activate. A closed bank may be precharged too, to no effect.
    may_access : Out(1)
        The row is open since tRCD.
    """

    def __init__(self, dram: Dram, row_bits: int):
        self._dram = dram
        super().__init__({
            "activate": In(1), "precharge": In(1), "row": In(row_bits),
            "active": Out(1), "active_row": Out(row_bits),
            "may_activate": Out(1), "may_precharge": Out(1), "may_access": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        dram = self._dram
        rcd = _timer(m, "rcd", self.activate, dram.cycles(dram.t_rcd))
        ras = _timer(m, "ras", self.activate, dram.cycles(dram.t_ras))
        rc = _timer(m, "rc", self.activate, dram.cycles(dram.t_rc))
        rp = _timer(m, "rp", self.precharge & self.active, dram.cycles(dram.t_rp))
        m.d.comb += [
            self.may_activate.eq(~self.active & ~rp & ~rc),
            self.may_precharge.eq(~ras),
            self.may_access.eq(self.active & ~rcd),
        ]
        with m.If(self.activate):
            m.d.sync += [Assert(self.may_activate), self.active.eq(1), self.active_row.eq(self.row)]
        with m.If(self.precharge):
            m.d.sync += [Assert(self.may_precharge), self.active.eq(0)]
        return m
