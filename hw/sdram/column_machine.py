"""Column machine of the SDRAM controller: reads and writes the words of open rows, and moves their data over the pins.

A word is one column command with a burst of two, so every second cycle of the command pins is free for commands that
open other rows. Segments follow each other without a gap.

Latency: a word read leaves CAS latency + 4 cycles after ``issue``; a word written is on the pins one cycle after it.
Rate: one word every 2 cycles; a write follows a read after :data:`TURNAROUND` cycles.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.delay import delayed
from hw.sdram.part import CAS_LATENCY, DATA_BITS, SdramPart
from hw.sdram.segment import WORD_BITS, TransferSignature, segment_layout

__all__ = ["READ_LATENCY", "ColumnMachine"]

READ_LATENCY = CAS_LATENCY + 3
"""Cycles from ``issue`` to the first half of the word behind the pads: one each for the command's register and for the
pads out and in, and the CAS latency."""
TURNAROUND = CAS_LATENCY + 3
"""Cycles from a read to the next write: the CAS latency, two transfers, and one cycle in which nobody drives the data
pins."""


class ColumnMachine(wiring.Component):
    """Column commands and data.

    Parameters
    ----------
    part : SdramPart

    Members
    -------
    segments : In(stream of segment_layout)
        Segments whose row is open, or will be when ``pause`` falls.
    pause : In(1)
        There are no column commands while it is 1, and no segment is accepted.
    transfer : Out(TransferSignature)
        The segment that is being transferred.
    dqm, dq_o, dq_oe, dq_i
        As in SdramPinsSignature.
    w : In(stream of ``data`` and byte enables ``strb``)
        Words to be written, in the order of the segments.
    r : Out(stream of ``data`` and ``last``)
        Words read. There is no ``ready``: whoever offers segments has made room for their words.
    written : Out(1)
        Strobe: the column command for the last word of a burst of the bus is issued.
    """

    def __init__(self, part: SdramPart):
        self._part = part
        super().__init__({
            "segments": In(stream.Signature(segment_layout(part))), "pause": In(1),
            "transfer": Out(TransferSignature(part)),
            "dqm": Out(DATA_BITS // 8), "dq_o": Out(DATA_BITS), "dq_oe": Out(1), "dq_i": In(DATA_BITS),
            "w": In(stream.Signature(data.StructLayout({"data": WORD_BITS, "strb": WORD_BITS // 8}))),
            "r": Out(stream.Signature(data.StructLayout({"data": WORD_BITS, "last": 1}), always_ready=True)),
            "written": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current, busy, issue = self.transfer.current, self.transfer.busy, self.transfer.issue
        second, turnaround, final = Signal(), Signal(range(TURNAROUND)), Signal()
        m.d.comb += [
            final.eq(current.more == 0),
            issue.eq(busy & ~second & ~self.pause & (~current.write | (self.w.valid & (turnaround == 0)))),
            self.segments.ready.eq(~self.pause & (~busy | (issue & final))),
            self.w.ready.eq(issue & current.write),
            self.written.eq(issue & current.write & final & current.last),
        ]
        m.d.sync += second.eq(issue)
        with m.If(issue & ~current.write):
            m.d.sync += turnaround.eq(TURNAROUND - 1)
        with m.Elif(turnaround != 0):
            m.d.sync += turnaround.eq(turnaround - 1)
        with m.If(issue):
            m.d.sync += [current.word.eq(current.word + 1), current.more.eq(current.more - 1)]
        with m.If(self.segments.ready):
            m.d.sync += [current.eq(self.segments.payload), busy.eq(self.segments.valid)]
        self._write(m, second)
        self._read(m, issue & ~current.write, final & current.last)
        return m

    def _write(self, m: Module, second: Value) -> None:
        """Data out: the first half of a word together with its command, the second half in the next cycle."""
        half, half_mask = Signal(DATA_BITS, reset_less=True), Signal(DATA_BITS // 8, reset_less=True)
        word = self.w.payload
        m.d.sync += [
            half.eq(word.data[DATA_BITS:]),
            half_mask.eq(~word.strb[DATA_BITS // 8:]),
            self.dq_o.eq(Mux(second, half, word.data[:DATA_BITS])),
            self.dqm.eq(0),
            self.dq_oe.eq(self.w.ready | (second & self.dq_oe)),
        ]
        with m.If(self.w.ready):
            m.d.sync += self.dqm.eq(~word.strb[:DATA_BITS // 8])
        with m.Elif(second & self.dq_oe):
            m.d.sync += self.dqm.eq(half_mask)

    def _read(self, m: Module, issue: Value, last: Value) -> None:
        """Data in: a word is whole once its second half is there."""
        half = Signal(DATA_BITS, reset_less=True)
        m.d.sync += half.eq(self.dq_i)
        m.d.comb += [
            self.r.valid.eq(delayed(m, issue, READ_LATENCY + 1, "reading")),
            self.r.payload.data.eq(Cat(half, self.dq_i)),
            self.r.payload.last.eq(delayed(m, last, READ_LATENCY + 1, "last")),
        ]
