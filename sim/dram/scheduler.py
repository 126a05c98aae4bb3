"""The schedule of the DRAM's controller: which command goes to the DRAM at which time, to the CK.

Work arrives as *segments*. A segment is a run of consecutive words in one row of a bank; with the bank group in the
lowest address bits, in one row of a bank of each group. Segments wait in a queue and are done in order. Two pointers go
through the queue. The first opens rows ahead of their use, a bank a cycle; it closes another row of the bank, but only
when no older segment needs that row. The second accesses the words, at most one a fabric cycle.

Nothing is stepped from CK to CK. The time of a command is the latest of those that its timing parameters set
(:mod:`sim.dram.rows`, :mod:`sim.dram.columns`). A row gets its times as soon as it is requested, which may lie ahead; a
word is accessed in the fabric cycle in which the time of its command lies.

The latency is one cycle, from the one that accepts a segment to the first access when the row is open. The throughput
is a word a cycle, as far as the DRAM allows.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.parts.axi import Resp
from sim.dram.columns import Columns
from sim.dram.dram import Dram
from sim.dram.refresh import Refresh
from sim.dram.rows import Rows, bank_of
from sim.dram.times import START, TIME

__all__ = ["SEGMENTS", "Scheduler", "segment_bits", "segment_layout", "word_layout"]

SEGMENTS = 16
"""Segments that the queue holds; a power of two."""
_NUMBER = 40
"""Bits of a segment's number since reset: with a segment a cycle at 400 MHz they last for 45 minutes of simulated time,
which take months to simulate."""


def word_layout(dram: Dram, data_bits: int, words: int) -> data.StructLayout:
    """The fields of a word's address, lowest first: column and bank group in the order that ``dram.columns_lowest``
    says, then bank, then rank, then row. A word has ``data_bits`` bits, and there are ``words`` of them in the
    memory."""
    column, group = ("column", exact_log2(dram.row_words(data_bits))), ("group", exact_log2(dram.groups))
    bank, rank = exact_log2(max(dram.banks, 1)), exact_log2(dram.ranks)
    row = max(1, ceil_log2(words) - column[1] - group[1] - bank - rank)
    return data.StructLayout(dict([*((column, group) if dram.columns_lowest else (group, column)),
                                   ("bank", bank), ("rank", rank), ("row", row)]))


def segment_bits(dram: Dram, data_bits: int) -> int:
    """Low bits of the word addresses in which the words of a segment may differ."""
    groups = 1 if dram.columns_lowest else dram.groups
    return exact_log2(dram.row_words(data_bits) * groups)


def segment_layout(word: data.StructLayout) -> data.StructLayout:
    """A segment: its first word, how many words follow, whether they are written, the response to them, and whether the
    segment is the last of its burst."""
    return data.StructLayout({"word": word, "more": 8, "write": 1, "resp": Resp, "last": 1})


class Scheduler(wiring.Component):
    """Turns segments into accesses of words.

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
        Segments (:func:`segment_layout`). A segment whose ``resp`` is not OKAY opens no row; its accesses only count
        words.
    read_credit : In(1)
        There is room for a word that is read.
    write_credit : In(1)
        There is a word to write, and room for the response to it.
    now : Out(TIME)
        The time at which this cycle begins.
    access : Out(1)
        A word is accessed in this cycle.
    word : Out(word)
        The address of that word (:func:`word_layout`).
    write : Out(1)
        That word is written.
    resp : Out(Resp)
        The response to that word's burst.
    last : Out(1)
        That word is the last of its burst.
    data_at : Out(TIME)
        The time at which that word has come in, if it is read.
    refreshing : Out(1)
        A refresh of all banks keeps words from being accessed. This lasts until a row can have been opened again.
    """

    def __init__(self, dram: Dram, data_bits: int, words: int) -> None:
        self._dram, self._data_bits = dram, data_bits
        self._word = word_layout(dram, data_bits, words)
        super().__init__({
            "segment": In(stream.Signature(segment_layout(self._word))),
            "read_credit": In(1), "write_credit": In(1), "now": Out(TIME, init=START),
            "access": Out(1), "word": Out(self._word), "write": Out(1), "resp": Out(Resp), "last": Out(1),
            "data_at": Out(TIME), "refreshing": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dram = self._dram
        units = max(2, dram.groups * dram.banks // dram.refresh_banks)
        m.submodules.columns = columns = Columns(dram, self._data_bits)
        m.submodules.refresh = refresh = Refresh(dram, units)
        m.d.sync += self.now.eq(self.now + dram.ratio)
        m.d.comb += refresh.now.eq(self.now)

        # The queue. Segments are numbered from reset, so that ``accepted`` of them is the number of the next to enter
        # the queue, and ``completed`` that of the oldest in it, whose words are being accessed.
        m.submodules.queue = queue = Memory(shape=segment_layout(self._word), depth=SEGMENTS, init=[])
        accepted, completed = Signal(_NUMBER), Signal(_NUMBER)
        entry, head = queue.write_port(), queue.read_port(domain="comb")
        m.d.comb += [
            self.segment.ready.eq(accepted - completed != SEGMENTS),
            entry.en.eq(self.segment.valid & self.segment.ready),
            entry.addr.eq(accepted),
            entry.data.eq(self.segment.payload),
            head.addr.eq(completed),
        ]
        m.d.sync += accepted.eq(accepted + entry.en)

        # The access: ``offset`` words of the segment have been accessed.
        offset, row_open, finish = Signal(8), Signal(), Signal()
        failed = Signal()
        m.d.comb += [
            Cat(self.word).eq(Cat(head.data.word) + offset),
            self.write.eq(head.data.write),
            self.resp.eq(head.data.resp),
            failed.eq(self.resp != Resp.OKAY),
            columns.rank.eq(self.word.rank),
            columns.group.eq(self.word.group),
            columns.write.eq(self.write),
            self.access.eq((completed != accepted) & ~refresh.forced
                           & (failed | row_open & (columns.command_at < self.now + dram.ratio))
                           & Mux(self.write, self.write_credit, self.read_credit)),
            columns.access.eq(self.access & ~failed),
            columns.refresh_all.eq(refresh.refresh_all),
            self.data_at.eq(Mux(failed, self.now, columns.data_at)),
            finish.eq(self.access & (offset == head.data.more)),
            self.last.eq(head.data.last & finish),
        ]
        with m.If(self.access):
            m.d.sync += [offset.eq(Mux(finish, 0, offset + 1)), completed.eq(completed + finish)]

        blocked_until = Signal(TIME)
        m.d.comb += self.refreshing.eq(refresh.refresh_all | (blocked_until > self.now))
        with m.If(refresh.refresh_all):
            m.d.sync += blocked_until.eq(columns.refreshed_at + dram.t_rcd)

        if dram.banks:
            self._rows(m, columns, refresh, queue.read_port(domain="comb"), (accepted, completed, offset), row_open,
                       finish)
        else:
            m.d.comb += [
                row_open.eq(1),
                columns.row_ready_at.eq(self.now),
                columns.refreshed_at.eq(self.now + dram.t_rp + dram.t_rfc),
            ]
        return m

    def _rows(self, m: Module, columns: Columns, refresh: Refresh, ahead: ReadPort,
              progress: tuple[Signal, Signal, Signal], row_open: Signal, finish: Signal) -> None:
        """The rows: opened for the segments that ``ahead`` reads, accessed for the oldest segment."""
        dram = self._dram
        m.submodules.rows = rows = Rows(dram, self._word)
        accepted, completed, offset = progress
        m.d.comb += [
            rows.now.eq(self.now),
            rows.word.eq(self.word),
            rows.access.eq(columns.access),
            rows.precharge_at.eq(columns.precharge_at),
            rows.refresh_all.eq(refresh.refresh_all),
            row_open.eq(rows.row_open),
            columns.row_ready_at.eq(rows.row_ready_at),
            columns.refreshed_at.eq(rows.refreshed_at),
        ]

        # Rows are being opened for the segment of number ``opening``: ``opened`` of them for the words before
        # ``opening_offset``, each in another bank group. The open row of a bank is needed last by ``last_user``.
        opening, opening_offset, opened = Signal(_NUMBER), Signal(8), Signal(range(dram.groups + 1))
        last_user = Array(Signal(_NUMBER, name=f"bank{i}_last_user")
                          for i in range(dram.ranks * dram.groups * dram.banks))
        bank, step, groups = Signal(range(len(last_user))), Signal(), 1 if dram.columns_lowest else dram.groups
        needed = Signal(len(last_user))  # banks whose open row a segment in the queue needs
        failed = ahead.data.resp != Resp.OKAY
        m.d.comb += [
            ahead.addr.eq(opening),
            Cat(rows.activate_word).eq(Cat(ahead.data.word) + opening_offset),
            bank.eq(bank_of(rows.activate_word)),
            needed.eq(Cat(is_open & (user >= completed)
                          for is_open, user in zip(rows.open_banks, last_user, strict=True))),
            rows.activate.eq((opening != accepted) & ~failed & ~rows.row_hit & ~refresh.refresh_all
                             & ~refresh.refresh_unit & ~(rows.row_conflict & needed.bit_select(bank, 1))
                             & (rows.activate_at + dram.t_ras <= refresh.due_at)),
            step.eq((opening != accepted) & ~refresh.refresh_unit & (failed | rows.row_hit | rows.activate)),
        ]
        with m.If(step & ~failed):
            m.d.sync += last_user[bank].eq(opening)
        done = failed | (opening_offset == ahead.data.more) | (opened == groups - 1)
        with m.If(refresh.forced):  # rows that are needed are closed: begin again where the accesses are
            m.d.sync += [opening.eq(completed), opening_offset.eq(offset), opened.eq(0)]
        with m.Elif(finish & (opening == completed) | step & done):
            m.d.sync += [opening.eq(opening + 1), opening_offset.eq(0), opened.eq(0)]
        with m.Elif(step):
            m.d.sync += [opening_offset.eq(opening_offset + 1), opened.eq(opened + 1)]

        if dram.t_refi_bank:
            self._refresh_units(m, rows, refresh, columns, needed, completed != accepted)

    def _refresh_units(self, m: Module, rows: Rows, refresh: Refresh, columns: Columns, needed: Signal,
                       accessing: Value) -> None:
        """Refreshes of single banks, of units whose rows no segment needs, by preference. ``accessing``: the oldest
        segment of the queue is there."""
        units = len(refresh.idle)
        used, accessed_bank = Signal(len(needed)), Signal.like(refresh.accessed_bank)
        with m.If(columns.access):
            m.d.sync += accessed_bank.eq(self.word.bank)
        m.d.comb += [
            used.eq(needed | ((accessing & rows.row_open) << bank_of(self.word))),
            refresh.idle.eq(~Cat(used[unit::units].any() for unit in range(units))),
            refresh.accessed_bank.eq(accessed_bank),
            refresh.unit_ready.eq(rows.unit_ready),
            rows.refresh_unit.eq(refresh.refresh_unit),
            rows.unit.eq(refresh.unit),
        ]
