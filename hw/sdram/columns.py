"""Column stage of the SDRAM controller: reads and writes of open rows, and their data on the pins.

A word is two transfers, one column command with a burst of two, so every second clock of the command pins is free for
other rows to be opened. Segments, each within one row, follow each other without a gap.

Latency: a word read is in the FIFO CAS latency + 4 cycles after its command is decided on. Throughput: a word every 2
cycles; :data:`TURN` cycles from a read to a write.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.delay import delayed
from hw.sdram.part import CAS_LATENCY, DATA_BITS, SdramPart

__all__ = ["READ_LATENCY", "WORD_BITS", "SdramColumns", "segment_layout"]

WORD_BITS = 2 * DATA_BITS
READ_LATENCY = CAS_LATENCY + 3
"""Cycles from the decision to read to its first data behind the pads: the command's register, the pads out and in."""
TURN = CAS_LATENCY + 3
"""Cycles from a read to a write: CAS latency, two of data, and one in which nobody drives the pins."""


def segment_layout(part: SdramPart) -> data.StructLayout:
    """Words in one row: the first word's number in the row, how many ``more`` follow, and whether these are the
    ``last`` of a burst on the bus."""
    words = part.column_bits - 1
    return data.StructLayout({"word": words, "bank": part.bank_bits, "row": part.row_bits, "more": words, "write": 1,
                              "last": 1})


class SdramColumns(wiring.Component):
    """Column commands.

    Members
    -------
    next : In(stream of segment_layout)
        Segments whose row is open or will be by the time that ``pause`` ends.
    pause : In(1)
        No commands, no new segment.
    current : Out(segment_layout), busy : Out(1)
        The segment at hand, and whether there is one; ``current`` counts on with each word.
    issue : Out(1)
        Strobe: the pins are taken by a column command to the current segment.
    dqm, dq_o, dq_oe, dq_i
        As in SdramPinsSignature.
    w : In(stream of data and strobes)
    r : Out(stream of data and last)
        Always ready: whoever asks for segments makes room first.
    written : Out(1)
        Strobe: the last word of a burst on the bus.
    """

    def __init__(self, part: SdramPart):
        self._part = part
        super().__init__({
            "next": In(stream.Signature(segment_layout(part))),
            "pause": In(1),
            "current": Out(segment_layout(part)), "busy": Out(1), "issue": Out(1),
            "dqm": Out(DATA_BITS // 8), "dq_o": Out(DATA_BITS), "dq_oe": Out(1), "dq_i": In(DATA_BITS),
            "w": In(stream.Signature(data.StructLayout({"data": WORD_BITS, "strb": WORD_BITS // 8}))),
            "r": Out(stream.Signature(data.StructLayout({"data": WORD_BITS, "last": 1}), always_ready=True)),
            "written": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        current, issue = self.current, self.issue
        second, turn, final = Signal(), Signal(range(TURN)), Signal()
        m.d.comb += [
            final.eq(current.more == 0),
            issue.eq(self.busy & ~second & ~self.pause & (~current.write | (self.w.valid & (turn == 0)))),
            self.next.ready.eq(~self.pause & (~self.busy | (issue & final))),
            self.w.ready.eq(issue & current.write),
            self.written.eq(issue & current.write & final & current.last),
        ]
        m.d.sync += second.eq(issue)
        with m.If(issue & ~current.write):
            m.d.sync += turn.eq(TURN - 1)
        with m.Elif(turn != 0):
            m.d.sync += turn.eq(turn - 1)
        with m.If(issue):
            m.d.sync += [current.word.eq(current.word + 1), current.more.eq(current.more - 1)]
        with m.If(self.next.ready):
            m.d.sync += [current.eq(self.next.payload), self.busy.eq(self.next.valid)]

        # Data out, together with the command's register: the first half now, the second in the next cycle.
        later, later_mask = Signal(DATA_BITS, reset_less=True), Signal(DATA_BITS // 8, reset_less=True)
        word = self.w.payload
        m.d.sync += [
            later.eq(word.data[DATA_BITS:]),
            later_mask.eq(~word.strb[DATA_BITS // 8:]),
            self.dq_o.eq(Mux(second, later, word.data[:DATA_BITS])),
            self.dqm.eq(0),
            self.dq_oe.eq(self.w.ready | (second & self.dq_oe)),
        ]
        with m.If(self.w.ready):
            m.d.sync += self.dqm.eq(~word.strb[:DATA_BITS // 8])
        with m.Elif(second & self.dq_oe):
            m.d.sync += self.dqm.eq(later_mask)

        # Data in.
        reading, last = (delayed(m, value, READ_LATENCY + 1, name) for value, name in (
            (issue & ~current.write, "reading"), (final & current.last, "last")))
        before = Signal(DATA_BITS, reset_less=True)
        m.d.sync += before.eq(self.dq_i)
        m.d.comb += [
            self.r.valid.eq(reading),
            self.r.payload.data.eq(Cat(before, self.dq_i)),
            self.r.payload.last.eq(last),
        ]
        return m
