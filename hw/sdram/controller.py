"""SDRAM controller: an AXI4 slave over a 16-bit SDR SDRAM.

    AXI4 ar, aw --> segments --> rows --> columns --> pads
    AXI4 w  --> queue -----------------------^  |
    AXI4 r  <-- FIFO  <-------------------------'

Words of the bus are 32 bits, two transfers of the chip, so the chip's peak is a word every 2 cycles. Consecutive
addresses are the columns of a row, then the banks, then the rows: a stream opens each row while the one before is
transferred. Bursts are worked off in order, reads and writes in turn when both wait. A read starts only when there is
room for all of its words, so that a master that does not take them holds up no writes. A master brings a burst's data
without waiting for any read.

INCR bursts of whole words only; the chip spans all addresses. Latency: 13 cycles and the CAS latency from a read
request to its first word when its row is open. Throughput: a word every 2 cycles but for refreshes.
"""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hw.parts.axi import AXI4Signature, Burst, beat_size
from hw.parts.delay import delayed
from hw.parts.stream_queue import StreamQueue
from hw.sdram.columns import READ_LATENCY, WORD_BITS, SdramColumns, segment_layout
from hw.sdram.part import SdramPart
from hw.sdram.pins import SdramPinsSignature
from hw.sdram.rows import SdramRows

__all__ = ["SdramController"]

READ_WORDS = 512
"""Words read that the FIFO holds: two of the longest bursts."""
_ROOM = 256
"""The longest burst: reads start while there is room for it."""
WRITE_WORDS = 4
UNANSWERED = 4
"""Writes whose response has not been taken."""


class SdramController(wiring.Component):
    """Everything between the bus and the pads.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float
        Of the design and of the chip.

    Members
    -------
    axi : In(AXI4Signature(part.address_bits, WORD_BITS))
    refreshing : Out(1)
        A refresh keeps words read from coming.
    pins : Out(SdramPinsSignature)

    Raises
    ------
    ValueError
        When the chip cannot run at that clock.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        if clock_mhz > part.max_mhz:
            raise ValueError(f"{part.name} runs at {part.max_mhz:g} MHz at most, not {clock_mhz:g}")
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({"axi": In(AXI4Signature(part.address_bits, WORD_BITS)), "refreshing": Out(1),
                          "pins": Out(SdramPinsSignature(part))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = SdramRows(self._part, self._clock_mhz)
        m.submodules.columns = columns = SdramColumns(self._part)
        wiring.connect(m, rows.o, columns.next)
        m.d.comb += [
            rows.current.eq(columns.current),
            rows.busy.eq(columns.busy),
            rows.issue.eq(columns.issue),
            columns.pause.eq(rows.pause),
            columns.dq_i.eq(self.pins.dq_i),
            *(getattr(self.pins, name).eq(getattr(rows, name)) for name in ("enable", "command", "ba", "a")),
            *(getattr(self.pins, name).eq(getattr(columns, name)) for name in ("dqm", "dq_o", "dq_oe")),
            self.refreshing.eq(delayed(m, rows.refreshing, READ_LATENCY + 2, "refreshing")),
        ]
        self._requests(m, rows.i)
        self._data(m, columns)
        return m

    def _requests(self, m, segments):
        """Bursts, cut where rows end."""
        ar, aw, r = self.axi.ar, self.axi.aw, self.axi.r
        shift, row_words = beat_size(WORD_BITS), 1 << self._part.column_bits - 1
        for channel in (ar, aw):
            with m.If(channel.valid):
                m.d.sync += Assert((channel.payload.burst == Burst.INCR) & (channel.payload.size == shift))

        # Room for words read, and for responses.
        room = Signal(range(READ_WORDS + 1), init=READ_WORDS)
        self._unanswered = unanswered = Signal(range(UNANSWERED + 1))
        active, write, wrote = Signal(), Signal(), Signal()
        word, left = Signal(self._part.address_bits - shift), Signal(8)
        may_read, may_write = Signal(), Signal()
        m.d.comb += [
            may_read.eq(ar.valid & (room >= _ROOM)),
            may_write.eq(aw.valid & (unanswered != UNANSWERED)),
            write.eq(may_write & ~(may_read & wrote)),
            ar.ready.eq(~active & may_read & ~write),
            aw.ready.eq(~active & write),
        ]
        m.d.sync += room.eq(room + (r.valid & r.ready) - Mux(ar.ready, ar.payload.len + 1, 0))
        slot, following = segments.payload, Signal(segment_layout(self._part))
        with m.If(ar.ready | aw.ready):
            m.d.sync += [
                active.eq(1),
                wrote.eq(write),
                word.eq(Mux(write, aw.payload.addr, ar.payload.addr) >> shift),
                left.eq(Mux(write, aw.payload.len, ar.payload.len)),
            ]

        with m.If(segments.ready):
            m.d.sync += segments.valid.eq(0)
        to_end = Signal(range(row_words))
        m.d.comb += [
            Cat(following.word, following.bank, following.row).eq(word),
            to_end.eq(~following.word),
            following.last.eq(left <= to_end),
            following.more.eq(Mux(following.last, left, to_end)),
            following.write.eq(wrote),
        ]
        with m.If(active & ~segments.valid):
            m.d.sync += [
                segments.valid.eq(1),
                slot.eq(following),
                active.eq(~following.last),
                word.eq(word + following.more + 1),
                left.eq(left - following.more - 1),
            ]

    def _data(self, m, columns):
        """Words and responses."""
        w, r, b = self.axi.w, self.axi.r, self.axi.b
        m.submodules.write_words = written = StreamQueue(columns.w.payload.shape(), WRITE_WORDS)
        wiring.connect(m, written.o, columns.w)
        m.d.comb += [
            written.i.payload.data.eq(w.payload.data),
            written.i.payload.strb.eq(w.payload.strb),
            written.i.valid.eq(w.valid),
            w.ready.eq(written.i.ready),
        ]
        m.submodules.read_words = read = SyncFIFOBuffered(width=WORD_BITS + 1, depth=READ_WORDS)
        m.d.comb += [
            read.w_data.eq(columns.r.payload),
            read.w_en.eq(columns.r.valid),
            read.r_en.eq(~r.valid | r.ready),
        ]
        # A block RAM takes half a cycle: whoever listens finds words in flip-flops.
        with m.If(read.r_en):
            m.d.sync += [r.valid.eq(read.r_rdy), Cat(r.payload.data, r.payload.last).eq(read.r_data)]
        with m.If(columns.r.valid):
            m.d.sync += Assert(read.w_rdy)
        responses = Signal.like(self._unanswered)
        m.d.comb += b.valid.eq(responses != 0)
        m.d.sync += [
            responses.eq(responses + columns.written - (b.valid & b.ready)),
            self._unanswered.eq(self._unanswered + self.axi.aw.ready - (b.valid & b.ready)),
        ]
