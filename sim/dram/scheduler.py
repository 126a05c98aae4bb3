"""The DRAM controller's schedule: which command goes to the DRAM when, to the CK.

Work arrives as *segments*, runs of consecutive words in one row of a bank (with the bank group in the lowest address
bits, in one row of a bank of each group), and is done in that order. Two hands go through a queue of segments. The
first opens rows, a bank a cycle, ahead of their use; it closes another row of the bank, but only when no older segment
needs that. The second accesses the words, one a fabric cycle at most. Nothing is stepped from CK to CK: a command's
time is the latest of those that its timing parameters set (:mod:`sim.dram.rows`, :mod:`sim.dram.columns`). A row may be
given its times as soon as it is wanted, a word is accessed in the fabric cycle in which its time falls.

Latency: a segment can be accessed in the cycle after it is taken, its row being open. Throughput: a word a cycle, as
far as the DRAM allows.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.parts.axi import Resp
from sim.dram.columns import Columns
from sim.dram.presets import Dram
from sim.dram.refresh import Refresh
from sim.dram.rows import Rows, bank_of
from sim.dram.times import START, TIME

__all__ = ["SEGMENTS", "Scheduler", "segment_bits", "segment_layout", "word_layout"]

SEGMENTS = 16
"""Segments that the queue holds; a power of two."""
_NUMBER = 40
"""Bits of a segment's number since reset, which never wraps."""


def word_layout(dram: Dram, data_bits: int, words: int) -> data.StructLayout:
    """Where a word address goes, least significant field first."""
    column, group = ("column", exact_log2(dram.row_words(data_bits))), ("group", exact_log2(dram.groups))
    bank = exact_log2(max(dram.banks, 1))
    row = max(1, ceil_log2(words) - column[1] - group[1] - bank)
    return data.StructLayout(dict([*((column, group) if dram.columns_lowest else (group, column)),
                                   ("bank", bank), ("row", row)]))


def segment_bits(dram: Dram, data_bits: int) -> int:
    """Low bits of the word addresses that a segment may differ in."""
    groups = 1 if dram.columns_lowest else dram.groups
    return exact_log2(dram.row_words(data_bits) * groups)


def segment_layout(word: data.StructLayout) -> data.StructLayout:
    """A segment: its first word, how many words follow, what to do with them, and whether it ends its burst."""
    return data.StructLayout({"word": word, "more": 8, "write": 1, "resp": Resp, "last": 1})


class Scheduler(wiring.Component):
    """Segments in, accesses out.

    Parameters
    ----------
    dram : Dram
    data_bits : int
        Width of a word.
    words : int
        Words in the memory.

    Members
    -------
    segment : In(stream)
        :func:`segment_layout`. With another ``resp`` than OKAY no row is opened: the accesses only count words.
    read_credit, write_credit : In(1)
        There is room for a word read; there is a word to write, and room for its response.
    now : Out(TIME)
        The time at which this cycle begins.
    access : Out(1)
        A word is accessed in this cycle.
    word, write, resp : Out
        What is accessed.
    last : Out(1)
        It is the last of its burst.
    data_at : Out(TIME)
        When the word is in, if it is read.
    refreshing : Out(1)
        No word can be accessed for a refresh of all banks, until a row can have been opened again.
    """

    def __init__(self, dram: Dram, data_bits: int, words: int):
        self._dram, self._data_bits = dram, data_bits
        self._word = word_layout(dram, data_bits, words)
        super().__init__({
            "segment": In(stream.Signature(segment_layout(self._word))),
            "read_credit": In(1), "write_credit": In(1), "now": Out(TIME, init=START),
            "access": Out(1), "word": Out(self._word), "write": Out(1), "resp": Out(Resp), "last": Out(1),
            "data_at": Out(TIME), "refreshing": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        dram = self._dram
        units = max(2, dram.groups * dram.banks // dram.refresh_banks)
        m.submodules.columns = columns = Columns(dram, self._data_bits)
        m.submodules.refresh = refresh = Refresh(dram, units)
        m.d.sync += self.now.eq(self.now + dram.ratio)
        m.d.comb += refresh.now.eq(self.now)

        # The queue; segments are numbered from reset. ``done`` is being accessed, ``taken`` is the next to come.
        m.submodules.queue = queue = Memory(shape=segment_layout(self._word), depth=SEGMENTS, init=[])
        taken, done = Signal(_NUMBER), Signal(_NUMBER)
        entry, head = queue.write_port(), queue.read_port(domain="comb")
        m.d.comb += [
            self.segment.ready.eq(taken - done != SEGMENTS),
            entry.en.eq(self.segment.valid & self.segment.ready),
            entry.addr.eq(taken),
            entry.data.eq(self.segment.payload),
            head.addr.eq(done),
        ]
        m.d.sync += taken.eq(taken + entry.en)

        # The access: ``offset`` words of the segment are done.
        offset, ready, finish = Signal(8), Signal(), Signal()
        failed = Signal()
        m.d.comb += [
            Cat(self.word).eq(Cat(head.data.word) + offset),
            self.write.eq(head.data.write),
            self.resp.eq(head.data.resp),
            failed.eq(self.resp != Resp.OKAY),
            columns.group.eq(self.word.group),
            columns.write.eq(self.write),
            self.access.eq((done != taken) & ~refresh.forced & (failed | ready & (columns.at < self.now + dram.ratio))
                           & Mux(self.write, self.write_credit, self.read_credit)),
            columns.access.eq(self.access & ~failed),
            columns.stop.eq(refresh.all),
            self.data_at.eq(Mux(failed, self.now, columns.data_at)),
            finish.eq(self.access & (offset == head.data.more)),
            self.last.eq(head.data.last & finish),
        ]
        with m.If(self.access):
            m.d.sync += [offset.eq(Mux(finish, 0, offset + 1)), done.eq(done + finish)]

        until = Signal(TIME)
        m.d.comb += self.refreshing.eq(refresh.all | (until > self.now))
        with m.If(refresh.all):
            m.d.sync += until.eq(columns.stop_until + dram.t_rcd)

        if dram.banks:
            self._rows(m, columns, refresh, queue.read_port(domain="comb"), (taken, done, offset), ready, finish)
        else:
            m.d.comb += [
                ready.eq(1),
                columns.ready_at.eq(self.now),
                columns.stop_until.eq(self.now + dram.t_rp + dram.t_rfc),
            ]
        return m

    def _rows(self, m, columns, refresh, ahead, progress, ready, finish):
        """The rows: opened for the segments in ``ahead``, accessed for the oldest."""
        dram = self._dram
        m.submodules.rows = rows = Rows(dram, self._word)
        taken, done, offset = progress
        m.d.comb += [
            rows.now.eq(self.now),
            rows.word.eq(self.word),
            rows.access.eq(columns.access),
            rows.close_at.eq(columns.close_at),
            rows.refresh.eq(refresh.all),
            ready.eq(rows.open),
            columns.ready_at.eq(rows.ready_at),
            columns.stop_until.eq(rows.refreshed_at),
        ]

        # Rows are being opened for segment ``number``, for the word ``place``; ``opened`` groups have been.
        number, place, opened = Signal(_NUMBER), Signal(8), Signal(range(dram.groups + 1))
        user = Array(Signal(_NUMBER, name=f"bank{i}_user") for i in range(dram.groups * dram.banks))
        bank, step, groups = Signal(range(len(user))), Signal(), 1 if dram.columns_lowest else dram.groups
        needed = Signal(len(user))  # by a segment in the queue
        failed = ahead.data.resp != Resp.OKAY
        m.d.comb += [
            ahead.addr.eq(number),
            Cat(rows.wanted).eq(Cat(ahead.data.word) + place),
            bank.eq(bank_of(rows.wanted)),
            needed.eq(Cat(is_open & (last >= done) for is_open, last in zip(rows.is_open, user, strict=True))),
            rows.activate.eq((number != taken) & ~failed & ~rows.wanted_open & ~refresh.all & ~refresh.one
                             & ~(rows.wanted_busy & needed.bit_select(bank, 1))
                             & (rows.activate_at + dram.t_ras <= refresh.due)),
            step.eq((number != taken) & ~refresh.one & (failed | rows.wanted_open | rows.activate)),
        ]
        with m.If(step & ~failed):
            m.d.sync += user[bank].eq(number)
        with m.If(refresh.forced):  # rows that are needed are closed: begin again where the accesses are
            m.d.sync += [number.eq(done), place.eq(offset), opened.eq(0)]
        with m.Elif(finish & (number == done) | step & (failed | (place == ahead.data.more) | (opened == groups - 1))):
            m.d.sync += [number.eq(number + 1), place.eq(0), opened.eq(0)]
        with m.Elif(step):
            m.d.sync += [place.eq(place + 1), opened.eq(opened + 1)]

        if dram.t_refi_bank:
            units = len(refresh.idle)
            used, here = Signal(len(user)), Signal.like(refresh.here)
            with m.If(columns.access):
                m.d.sync += here.eq(self.word.bank)
            m.d.comb += [
                used.eq(needed | (((done != taken) & rows.open) << bank_of(self.word))),
                refresh.idle.eq(~Cat(used[unit::units].any() for unit in range(units))),
                refresh.here.eq(here),
                rows.refresh_unit.eq(refresh.one),
                rows.unit.eq(refresh.unit),
            ]
