"""Segmenter of the SDRAM controller: accepts bursts of the bus one after another and cuts them where rows end.

Consecutive addresses are the columns of a row, then the banks, then the rows, so that a stream finds its next row in
another bank. Reads and writes take turns when both wait. A read is accepted when there is room for the longest burst,
so that a master that does not accept words delays no write.

Latency: a burst's first segment is offered 2 cycles after its request has been accepted. Rate: one segment every 2
cycles.
"""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.axi import BURST_BEATS, AXI4Signature, Burst, beat_size
from hw.sdram.part import SdramPart
from hw.sdram.segment import WORD_BITS, segment_layout

__all__ = ["OUTSTANDING_WRITES", "READ_WORDS", "Segmenter"]

READ_WORDS = 2 * BURST_BEATS
"""Words of the buffer for words read: two of the longest bursts."""
OUTSTANDING_WRITES = 4
"""Writes that may have been accepted while their response has not."""


class Segmenter(wiring.Component):
    """Requests of the bus as segments.

    Parameters
    ----------
    part : SdramPart

    Members
    -------
    ar, aw : In(stream of AXI4 requests)
        INCR bursts of whole words only.
    delivered : In(1)
        Strobe: the master has accepted a word read.
    responded : In(1)
        Strobe: the master has accepted the response to a write.
    segments : Out(stream of segment_layout)
    """

    def __init__(self, part: SdramPart):
        self._part = part
        channels = AXI4Signature(part.address_bits, WORD_BITS).members
        super().__init__({"ar": In(channels["ar"].signature), "aw": In(channels["aw"].signature),
                          "delivered": In(1), "responded": In(1),
                          "segments": Out(stream.Signature(segment_layout(part)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = beat_size(WORD_BITS)
        for channel in (self.ar, self.aw):
            with m.If(channel.valid):
                m.d.sync += Assert((channel.payload.burst == Burst.INCR) & (channel.payload.size == shift),
                                   "the SDRAM controller accepts INCR bursts of whole words only\n")

        # The burst at hand: its next word, and how many follow that one.
        active, write = Signal(), Signal()
        word, left = Signal(self._part.address_bits - shift), Signal(8)
        writes = self._accept(m, active, write)
        with m.If(self.ar.ready | self.aw.ready):
            m.d.sync += [
                active.eq(1),
                write.eq(writes),
                word.eq(Mux(writes, self.aw.payload.addr, self.ar.payload.addr) >> shift),
                left.eq(Mux(writes, self.aw.payload.len, self.ar.payload.len)),
            ]

        segments, segment = self.segments, Signal(segment_layout(self._part))
        to_end = Signal.like(segment.word)
        m.d.comb += [
            Cat(segment.word, segment.bank, segment.row).eq(word),
            to_end.eq(~segment.word),
            segment.last.eq(left <= to_end),
            segment.more.eq(Mux(segment.last, left, to_end)),
            segment.write.eq(write),
        ]
        with m.If(segments.ready):
            m.d.sync += segments.valid.eq(0)
        with m.If(active & ~segments.valid):
            m.d.sync += [
                segments.valid.eq(1),
                segments.payload.eq(segment),
                active.eq(~segment.last),
                # Where the next row begins. The last segment has no next; that both could be skipped then would only
                # put the choice of its length before the adders.
                word.eq(Cat(Const(0, len(segment.word)), word[len(segment.word):] + 1)),
                left.eq(left - to_end - 1),
            ]
        return m

    def _accept(self, m: Module, active: Value, wrote: Value) -> Signal:
        """Accept a request when no burst is at hand; 1 when it is a write. ``wrote`` says whether the last one was."""
        ar, aw = self.ar, self.aw
        room, outstanding = Signal(range(READ_WORDS + 1), init=READ_WORDS), Signal(range(OUTSTANDING_WRITES + 1))
        may_read, may_write, write = Signal(), Signal(), Signal()
        m.d.comb += [
            may_read.eq(ar.valid & (room >= BURST_BEATS)),
            may_write.eq(aw.valid & (outstanding != OUTSTANDING_WRITES)),
            write.eq(may_write & ~(may_read & wrote)),
            ar.ready.eq(~active & may_read & ~write),
            aw.ready.eq(~active & write),
        ]
        m.d.sync += [
            room.eq(room + self.delivered - Mux(ar.ready, ar.payload.len + 1, 0)),
            outstanding.eq(outstanding + aw.ready - self.responded),
        ]
        return write
