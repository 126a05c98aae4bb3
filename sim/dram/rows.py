"""The DRAM's rows: which are open, and when the next may be opened.

Activates and precharges are given times, which may lie ahead, in the order in which they are asked for; the timing
parameters between all of them hold to the CK. The command bus is not modelled: a word takes at most three commands.
"""

from itertools import pairwise

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from sim.dram.presets import Dram
from sim.dram.times import TIME, latest

__all__ = ["Rows", "bank_of"]


def bank_of(word: data.View) -> Cat:
    """The number of a word's bank among those of all groups: the number in its group, below that of its group."""
    return Cat(word.bank, word.group)


class Rows(wiring.Component):
    """State and timing of all banks.

    Parameters
    ----------
    dram : Dram
    word : data.StructLayout
        Word addresses: ``group``, ``bank``, ``row``.

    Members
    -------
    now : In(TIME)
    wanted : In(word)
        A word whose row is to be opened.
    wanted_open, wanted_busy : Out(1)
        That row is open or being opened; another row of its bank is.
    activate : In(1)
        Open it, after closing the other one.
    activate_at : Out(TIME)
        When that would take place.
    word : In(word)
        A word to be accessed.
    open : Out(1)
        Its row is open or being opened.
    ready_at : Out(TIME)
        When the row allows a column command.
    access : In(1)
        The word is accessed.
    close_at : In(TIME)
        Its bank is precharged no sooner.
    refresh : In(1)
        Close all banks, then refresh them all.
    refreshed_at : Out(TIME)
        The end of that.
    refresh_unit : In(1)
        Close the banks of ``unit``, those whose number is ``unit`` modulo the number of units, then refresh them.
    unit : In(range(units))
    is_open : Out(banks)
        Banks with an open row.
    """

    def __init__(self, dram: Dram, word: data.StructLayout):
        self._dram = dram
        self._banks = dram.groups * dram.banks
        super().__init__({
            "now": In(TIME),
            "wanted": In(word), "wanted_open": Out(1), "wanted_busy": Out(1), "activate": In(1),
            "activate_at": Out(TIME),
            "word": In(word), "open": Out(1), "ready_at": Out(TIME), "access": In(1), "close_at": In(TIME),
            "refresh": In(1), "refreshed_at": Out(TIME), "refresh_unit": In(1),
            "unit": In(range(self._banks // dram.refresh_banks)), "is_open": Out(self._banks),
        })

    def elaborate(self, platform):
        m = Module()
        dram, banks = self._dram, range(self._banks)
        row = Array(Signal.like(self.word.row, name=f"bank{i}_row") for i in banks)
        activated = Array(Signal(TIME, name=f"bank{i}_activated") for i in banks)
        close = Array(Signal(TIME, name=f"bank{i}_close") for i in banks)  # as the accesses allow it
        last, no_sooner, last_close = Signal(TIME), Signal(TIME), Signal(TIME)

        # Opening a row.
        wanted = Signal(exact_log2(self._banks))
        was_open = Signal()
        m.d.comb += [
            wanted.eq(bank_of(self.wanted)),
            was_open.eq(self.is_open.bit_select(wanted, 1)),
            self.wanted_open.eq(was_open & (row[wanted] == self.wanted.row)),
            self.wanted_busy.eq(was_open & ~self.wanted_open),
        ]
        closed = latest(m, self.now, activated[wanted] + dram.t_ras, close[wanted])
        limits = [Mux(was_open, closed + dram.t_rp, self.now), activated[wanted] + dram.t_rc, last + dram.t_rrd_s,
                  no_sooner]
        if dram.groups > 1:
            group_last = Array(Signal(TIME, name=f"group{i}_last") for i in range(dram.groups))
            limits.append(group_last[self.wanted.group] + dram.t_rrd_l)
        if dram.t_faw:
            recent = [last, *(Signal(TIME, name=f"last{i}") for i in range(1, 4))]
            limits.append(recent[3] + dram.t_faw)
        m.d.comb += self.activate_at.eq(latest(m, *limits))
        with m.If(self.activate):
            m.d.sync += [
                Assert(~self.wanted_open),
                self.is_open.bit_select(wanted, 1).eq(1),
                row[wanted].eq(self.wanted.row),
                activated[wanted].eq(self.activate_at),
                last.eq(self.activate_at),
            ]
            if dram.groups > 1:
                m.d.sync += group_last[self.wanted.group].eq(self.activate_at)
            if dram.t_faw:
                m.d.sync += [older.eq(newer) for newer, older in pairwise(recent)]

        # Accesses.
        bank = Signal(exact_log2(self._banks))
        m.d.comb += [
            bank.eq(bank_of(self.word)),
            self.open.eq(self.is_open.bit_select(bank, 1) & (row[bank] == self.word.row)),
            self.ready_at.eq(latest(m, self.now, activated[bank] + dram.t_rcd)),
        ]
        bank_close = latest(m, close[bank], self.close_at)
        all_close = latest(m, last_close, self.close_at)
        with m.If(self.access):
            m.d.sync += [close[bank].eq(bank_close), last_close.eq(all_close)]

        # Refreshes.
        all_closed = latest(m, self.now, last + dram.t_ras, last_close)
        m.d.comb += self.refreshed_at.eq(all_closed + (dram.t_rp_all or dram.t_rp) + dram.t_rfc)
        with m.If(self.refresh):
            m.d.sync += [self.is_open.eq(0), no_sooner.eq(self.refreshed_at)]
        if dram.t_refi_bank:
            self._refresh_unit(m, activated, close)
        return m

    def _refresh_unit(self, m, activated, close):
        """To a bank, its refresh is an activate that ends (tRC later) when the refresh does."""
        dram = self._dram
        units = self._banks // dram.refresh_banks
        members = [(self.unit + i * units)[:exact_log2(self._banks)] for i in range(dram.refresh_banks)]
        start = latest(m, self.now, *(
            Mux(self.is_open.bit_select(bank, 1), latest(m, self.now, activated[bank] + dram.t_ras, close[bank])
                + dram.t_rp, activated[bank] + dram.t_rc) for bank in members))
        with m.If(self.refresh_unit):
            for i in range(self._banks):
                with m.If(self.unit == i % units):
                    m.d.sync += [self.is_open[i].eq(0), activated[i].eq(start + dram.t_rfc_bank - dram.t_rc)]
