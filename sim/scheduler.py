"""The DRAM controller's schedule: which command goes to the DRAM in each cycle.

Work arrives as *segments*, runs of consecutive words in one row, and is done in that order, one column access (one bus
word) a cycle at most. A window of segments is visible: while the oldest one streams, the rows of the following ones are
opened, one activate or precharge a cycle, oldest first; a row is closed only when no older segment needs its bank. The
window reaches over the time to open a row even when all segments are as short as four words.

Every refresh interval the accesses pause: after tRAS all banks are precharged, tRP later the refresh starts, tRFC
later rows are opened anew. The interval is counted from reset.

Latency: a segment can be accessed in the cycle after it is taken (its row being open, otherwise tRCD or tRP + tRCD
later). Throughput: one word a cycle, without gaps between segments of at least four words in alternating banks.
"""

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.axi import Resp
from sim.bank import Bank
from sim.dram import Dram

__all__ = ["Scheduler", "segment_layout", "word_layout"]

SHORTEST = 4
"""Words in the shortest segments between which no cycle is lost."""


def word_layout(dram: Dram, words: int) -> data.StructLayout:
    """Where a word address goes, least significant first: column, bank, row."""
    column, bank = exact_log2(dram.row_words), exact_log2(max(dram.banks, 1))
    return data.StructLayout({"column": column, "bank": bank, "row": max(1, ceil_log2(words) - column - bank)})


def segment_layout(dram: Dram, words: int) -> data.StructLayout:
    """A segment: its first word, how many words follow, what to do with them, and whether it ends its burst."""
    return data.StructLayout({"word": word_layout(dram, words), "more": 8, "write": 1, "resp": Resp, "last": 1})


class Scheduler(wiring.Component):
    """Segments in, column accesses out.

    Parameters
    ----------
    dram : Dram
    words : int
        Bus words in the memory.

    Members
    -------
    segment : In(stream)
        :func:`segment_layout`. With another ``resp`` than OKAY no row is opened: the accesses only count words.
    read_credit, write_credit : In(1)
        There is room for a word read; there is a word to write, and room for its response.
    access : Out(1)
        A column access takes place in this cycle.
    word, write, resp : Out
        What it accesses.
    last : Out(1)
        It is the last of its burst.
    """

    def __init__(self, dram: Dram, words: int):
        self._dram, self._words = dram, words
        super().__init__({
            "segment": In(stream.Signature(segment_layout(dram, words))),
            "read_credit": In(1), "write_credit": In(1),
            "access": Out(1), "word": Out(word_layout(dram, words)), "write": Out(1), "resp": Out(Resp),
            "last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        dram = self._dram
        depth = 2 + -(-(dram.cycles(dram.t_rp) + dram.cycles(dram.t_rcd)) // SHORTEST)
        window = [Signal(segment_layout(dram, self._words), name=f"window{i}") for i in range(depth)]
        level = Signal(range(depth + 1))
        head = window[0]

        # Refreshes, and rows for what the window holds.
        pause, closable, close_all, open_now = Signal(), Signal(), Signal(), Signal()
        self._refresh(m, pause, closable, close_all)
        if dram.banks:
            self._rows(m, window, level, pause, closable, close_all, open_now)
        else:
            m.d.comb += [open_now.eq(1), closable.eq(1)]

        # The column access.
        failed = head.resp != Resp.OKAY
        m.d.comb += [
            self.access.eq((level != 0) & ~pause & (failed | open_now)
                           & Mux(head.write, self.write_credit, self.read_credit)),
            self.word.eq(head.word),
            self.write.eq(head.write),
            self.resp.eq(head.resp),
            self.last.eq(head.last & (head.more == 0)),
        ]

        # The window: shift when the oldest segment is done, fill behind the youngest.
        done, take = Signal(), Signal()
        m.d.comb += [
            done.eq(self.access & (head.more == 0)),
            self.segment.ready.eq(level != depth),
            take.eq(self.segment.valid & self.segment.ready),
        ]
        m.d.sync += level.eq(level + take - done)
        with m.If(self.access):
            m.d.sync += [head.more.eq(head.more - 1), head.word.column.eq(head.word.column + 1)]
        for i, entry in enumerate(window):
            with m.If(done & (i + 1 < depth)):
                m.d.sync += entry.eq(window[min(i + 1, depth - 1)])
            with m.If(take & (level - done == i)):
                m.d.sync += entry.eq(self.segment.payload)
        return m

    def _refresh(self, m, pause, closable, close_all):
        """When a refresh is due, ``close_all`` as soon as ``closable``; ``pause`` until rows may be opened."""
        dram = self._dram
        if not dram.refresh_interval:
            return
        length = dram.cycles(dram.t_rp) + dram.cycles(dram.t_rfc)
        interval = Signal(range(dram.refresh_interval), init=dram.refresh_interval - 1)
        due, left = Signal(), Signal(range(length))
        m.d.comb += [pause.eq(due | (left != 0)), close_all.eq(due & closable)]
        m.d.sync += interval.eq(Mux(interval == 0, dram.refresh_interval - 1, interval - 1))
        with m.If(interval == 0):
            m.d.sync += [Assert(~pause), due.eq(1)]
        with m.Elif(close_all):
            m.d.sync += [due.eq(0), left.eq(length - 1)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

    def _rows(self, m, window, level, pause, closable, close_all, open_now):
        """The banks; one activate or precharge a cycle for the window, or all banks closed for a refresh."""
        dram = self._dram
        banks = [Bank(dram, len(window[0].word.row)) for _ in range(dram.banks)]
        activate, precharge, target = Signal(), Signal(), Signal(word_layout(dram, self._words))
        for i, bank in enumerate(banks):
            m.submodules[f"bank{i}"] = bank
            m.d.comb += [
                bank.row.eq(target.row),
                bank.activate.eq(activate & (target.bank == i)),
                bank.precharge.eq(precharge & (target.bank == i) | close_all),
            ]
        m.d.comb += closable.eq(Cat(bank.may_precharge for bank in banks).all())

        def of_bank(entry, i, name):
            value = Signal.like(getattr(banks[0], name), name=f"{name}{i}")
            m.d.comb += value.eq(Array(getattr(bank, name) for bank in banks)[entry.word.bank])
            return value

        may_precharge, may_activate = [], []
        for i, entry in enumerate(window):
            active, hit = of_bank(entry, i, "active"), Signal(name=f"hit{i}")
            taken = Cat(entry.word.bank == older.word.bank for older in window[:i]).any() if i else 0
            m.d.comb += hit.eq(active & (of_bank(entry, i, "active_row") == entry.word.row))
            if i == 0:
                m.d.comb += open_now.eq(hit & of_bank(entry, i, "may_access"))
            want = Signal(name=f"want{i}")
            m.d.comb += want.eq((level > i) & (entry.resp == Resp.OKAY) & ~hit & ~taken & ~pause)
            may_precharge.append(want & active & of_bank(entry, i, "may_precharge"))
            may_activate.append(want & of_bank(entry, i, "may_activate"))
        for i in reversed(range(len(window))):  # the oldest has the last word
            with m.If(may_precharge[i] | may_activate[i]):
                m.d.comb += [precharge.eq(may_precharge[i]), activate.eq(may_activate[i]), target.eq(window[i].word)]
