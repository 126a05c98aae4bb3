"""The DRAM's rows: which are open, and when the next may be opened.

Activates and precharges get their times, which may lie ahead, in the order in which they are requested. The timing
parameters between all of them hold to the CK. The command bus is not modelled, because a word takes three commands at
most.

All times are combinational: the latency is 0. A row is opened, a word accessed and a refresh begun in every cycle.
"""

from dataclasses import dataclass
from itertools import pairwise

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from sim.dram.dram import Dram
from sim.dram.times import TIME, latest

__all__ = ["Rows", "bank_of"]


def bank_of(word: data.View) -> Value:
    """The number of a word's bank among all: its number in the bank group are the low bits, that of the group those
    above, that of the rank the high ones."""
    return Cat(word.bank, word.group, word.rank)


@dataclass(frozen=True)
class _Banks:
    """Registers of each bank: its open row, the time of its last activate, and the earliest time at which its accesses
    allow a precharge."""

    row: Array
    activated: Array
    precharge: Array


class Rows(wiring.Component):
    """State and timing of the rows of all banks.

    Parameters
    ----------
    dram : Dram
    word : data.StructLayout
        Word addresses: ``rank``, ``group``, ``bank``, ``row``.

    Members
    -------
    now : In(TIME)
        The time at which this cycle begins.
    activate_word : In(word)
        A word whose row is to be opened.
    row_hit : Out(1)
        The row of ``activate_word`` is open or being opened.
    row_conflict : Out(1)
        Another row of the bank of ``activate_word`` is open or being opened.
    activate : In(1)
        The row of ``activate_word`` is opened at ``activate_at``, after the other row of its bank has been closed.
    activate_at : Out(TIME)
        The earliest time at which that can take place.
    word : In(word)
        A word that is to be accessed.
    row_open : Out(1)
        The row of ``word`` is open or being opened.
    row_ready_at : Out(TIME)
        The earliest time at which that row allows a column command: now, or later.
    access : In(1)
        ``word`` is accessed.
    precharge_at : In(TIME)
        The earliest time at which that access allows to precharge the bank.
    refresh_all : In(1)
        All banks are closed and then refreshed.
    refreshed_at : Out(TIME)
        The time at which that refresh ends.
    unit_ready : Out(1)
        The last refresh of single banks is tPBR2PBR ago.
    refresh_unit : In(1)
        The banks of ``unit`` are closed and then refreshed.
    unit : In(range(units))
        The banks whose number is ``unit`` modulo the number of units.
    open_banks : Out(banks)
        The banks that have an open row.
    """

    def __init__(self, dram: Dram, word: data.StructLayout) -> None:
        self._dram = dram
        self._banks = dram.ranks * dram.groups * dram.banks
        super().__init__({
            "now": In(TIME),
            "activate_word": In(word), "row_hit": Out(1), "row_conflict": Out(1), "activate": In(1),
            "activate_at": Out(TIME),
            "word": In(word), "row_open": Out(1), "row_ready_at": Out(TIME), "access": In(1), "precharge_at": In(TIME),
            "refresh_all": In(1), "refreshed_at": Out(TIME), "unit_ready": Out(1), "refresh_unit": In(1),
            "unit": In(range(self._banks // dram.refresh_banks)), "open_banks": Out(self._banks),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dram, numbers = self._dram, range(self._banks)
        banks = _Banks(Array(Signal.like(self.word.row, name=f"bank{i}_row") for i in numbers),
                       Array(Signal(TIME, name=f"bank{i}_activated") for i in numbers),
                       Array(Signal(TIME, name=f"bank{i}_precharge") for i in numbers))
        last_activate = Array(Signal(TIME, name=f"rank{i}_last") for i in range(dram.ranks))
        refresh_end, last_precharge, last_unit_refresh = Signal(TIME), Signal(TIME), Signal(TIME)
        self._activates(m, banks, last_activate, refresh_end, last_unit_refresh)
        self._accesses(m, banks, last_precharge)

        # A refresh of all banks.
        all_closed = latest(m, self.now, *(last + dram.t_ras for last in last_activate), last_precharge)
        m.d.comb += self.refreshed_at.eq(all_closed + (dram.t_rp_all or dram.t_rp) + dram.t_rfc)
        with m.If(self.refresh_all):
            m.d.sync += [self.open_banks.eq(0), refresh_end.eq(self.refreshed_at)]
        if dram.t_refi_bank:
            self._refresh_unit(m, banks, last_activate[0], last_unit_refresh)
        return m

    def _activates(self, m: Module, banks: _Banks, ranks_last: Array, refresh_end: Signal, unit_refresh: Signal
                   ) -> None:
        """Rows that are opened: tRAS and tRP to close the other row, then tRC, tRRD, tFAW and tPBR2ACT. ``ranks_last``
        are the times of the last activate in each rank, ``unit_refresh`` that of the last refresh of single banks; no
        activate takes place before ``refresh_end``."""
        dram, rank = self._dram, self.activate_word.rank
        last = ranks_last[rank]
        bank, was_open = Signal(exact_log2(self._banks)), Signal()
        m.d.comb += [
            bank.eq(bank_of(self.activate_word)),
            was_open.eq(self.open_banks.bit_select(bank, 1)),
            self.row_hit.eq(was_open & (banks.row[bank] == self.activate_word.row)),
            self.row_conflict.eq(was_open & ~self.row_hit),
        ]
        closed = latest(m, self.now, banks.activated[bank] + dram.t_ras, banks.precharge[bank])
        limits = [Mux(was_open, closed + dram.t_rp, self.now), banks.activated[bank] + dram.t_rc, last + dram.t_rrd_s,
                  refresh_end]
        if dram.groups > 1:
            group_last = Array(Signal(TIME, name=f"group{i}_last") for i in range(dram.ranks * dram.groups))
            group = Signal(range(len(group_last)))
            m.d.comb += group.eq(Cat(self.activate_word.group, rank))
            limits.append(group_last[group] + dram.t_rrd_l)
        if dram.t_faw:
            recent = [last, *(Array(Signal(TIME, name=f"rank{j}_last{i}") for j in range(dram.ranks))[rank]
                              for i in range(1, 4))]
            limits.append(recent[3] + dram.t_faw)
        if dram.t_refi_bank:
            limits.append(unit_refresh + dram.t_pbr2act)
            with m.If(self.activate):
                m.d.sync += Assert(self.activate_at - unit_refresh >= dram.t_pbr2act)
        m.d.comb += self.activate_at.eq(latest(m, *limits))
        with m.If(self.activate):
            m.d.sync += [
                Assert(~self.row_hit),
                self.open_banks.bit_select(bank, 1).eq(1),
                banks.row[bank].eq(self.activate_word.row),
                banks.activated[bank].eq(self.activate_at),
                last.eq(self.activate_at),
            ]
            if dram.groups > 1:
                m.d.sync += group_last[group].eq(self.activate_at)
            if dram.t_faw:
                m.d.sync += [older.eq(newer) for newer, older in pairwise(recent)]

    def _accesses(self, m: Module, banks: _Banks, last_precharge: Signal) -> None:
        """Words that are accessed: tRCD after the activate. ``last_precharge`` is the earliest time at which the
        accesses allow a precharge of all banks."""
        bank = Signal(exact_log2(self._banks))
        m.d.comb += [
            bank.eq(bank_of(self.word)),
            self.row_open.eq(self.open_banks.bit_select(bank, 1) & (banks.row[bank] == self.word.row)),
            self.row_ready_at.eq(latest(m, self.now, banks.activated[bank] + self._dram.t_rcd)),
        ]
        precharge = latest(m, banks.precharge[bank], self.precharge_at)
        precharge_all = latest(m, last_precharge, self.precharge_at)
        with m.If(self.access):
            m.d.sync += [banks.precharge[bank].eq(precharge), last_precharge.eq(precharge_all)]

    def _refresh_unit(self, m: Module, banks: _Banks, last_activate: Signal, last: Signal) -> None:
        """A refresh of single banks. To a bank it is an activate that ends (tRC later) when the refresh does; to other
        banks it is one too (tRRD), and tPBR2PBR lies between two refreshes. ``last`` is the time of the last one."""
        dram = self._dram
        units = self._banks // dram.refresh_banks
        members = [(self.unit + i * units)[:exact_log2(self._banks)] for i in range(dram.refresh_banks)]
        start = latest(m, self.now, last_activate + dram.t_rrd_s, *(
            Mux(self.open_banks.bit_select(bank, 1),
                latest(m, self.now, banks.activated[bank] + dram.t_ras, banks.precharge[bank]) + dram.t_rp,
                banks.activated[bank] + dram.t_rc) for bank in members))
        m.d.comb += self.unit_ready.eq(last + dram.t_pbr2pbr <= self.now)
        with m.If(self.refresh_unit):
            m.d.sync += [last.eq(start), Assert(start - last >= dram.t_pbr2pbr)]
            for i in range(self._banks):
                with m.If(self.unit == i % units):
                    m.d.sync += [self.open_banks[i].eq(0), banks.activated[i].eq(start + dram.t_rfc_bank - dram.t_rc)]
