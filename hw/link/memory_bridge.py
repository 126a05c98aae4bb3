"""The bridge from the serial link to memory: transfers of words in bursts, as a master of AXI4.

A burst has at most 16 words and crosses no multiple of 16 words. A burst of a read is requested once the queue behind
memory is empty, so that each of its words is accepted in the cycle in which memory offers it: a slow line holds up no
other master. A write offers one word in every 3 cycles, because the payload's next word is known 2 cycles after its
index.

The address of a burst is offered 2 cycles after the transfer is accepted, or after the burst before has ended. A word
that is read is offered 1 cycle after memory has offered it, and a sum 2 cycles after the last word.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In, Out

from hw.link.protocol import MAX_WORDS, WORD_BITS
from hw.parts.axi import AXI4Signature, Burst, beat_size
from hw.parts.stream_queue import StreamQueue

__all__ = ["BURST_WORDS", "MemoryBridge", "Transfer", "transfer_layout"]

BURST_WORDS = 16
"""Largest number of words of a burst, and room of the queue behind memory, in words."""


class Transfer(enum.Enum, shape=2):
    """What a transfer does."""

    READ = 0
    """Words of memory are sent to the host."""
    SUM = 1
    """The CRC-32 of words of memory is sent to the host, as one word."""
    WRITE = 2
    """Words of the request's payload are written to memory."""


def transfer_layout(addr_bits: int) -> data.StructLayout:
    """A ``kind`` of transfer of ``count`` words of memory from the byte address ``addr`` on, a multiple of 4."""
    return data.StructLayout({"kind": Transfer, "addr": addr_bits, "count": 16})


class MemoryBridge(wiring.Component):
    """Reads, sums and writes words of memory.

    Parameters
    ----------
    addr_bits : int
        Bits of a byte address of memory.

    Members
    -------
    i : In(stream of transfer_layout)
        Transfers of words that memory has. One is accepted once the one before has ended.
    index : Out(range(MAX_WORDS))
        Selects a word in the payload of a request; 0 unless a write is under way.
    word : In(32)
        The word at ``index``, 2 cycles later.
    words : Out(stream of 32 bits)
        What a read or a sum has found.
    written : Out(1)
        Strobe: memory has acknowledged the last word of a write.
    axi : Out(AXI4Signature)
        The bus of memory.
    """

    def __init__(self, addr_bits: int) -> None:
        self._addr_bits = addr_bits
        super().__init__({
            "i": In(stream.Signature(transfer_layout(addr_bits))),
            "index": Out(range(MAX_WORDS)), "word": In(WORD_BITS),
            "words": Out(stream.Signature(WORD_BITS)), "written": Out(1),
            "axi": Out(AXI4Signature(addr_bits, WORD_BITS)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ar, r, aw, w, b = (getattr(self.axi, name) for name in ("ar", "r", "aw", "w", "b"))
        m.submodules.checksum = crc = catalog.CRC32_ISO_HDLC(WORD_BITS).create()
        m.submodules.queue = queue = StreamQueue(WORD_BITS, BURST_WORDS)
        wiring.connect(m, queue.o, wiring.flipped(self.words))
        # `addr` and `words_left` are those of the part of the transfer that is yet to be requested. A burst has `beats`
        # words, of which a write is yet to send `beats_left`.
        kind, addr, words_left = Signal(Transfer), Signal(self._addr_bits), Signal(16)
        beats, beats_left = Signal(range(BURST_WORDS + 1)), Signal(range(BURST_WORDS + 1))
        self._connect_channels(m, addr, beats, beats_left)
        m.d.comb += [crc.data.eq(r.payload.data), queue.i.payload.eq(r.payload.data)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), crc.start.eq(1)]
                m.d.sync += [kind.eq(self.i.payload.kind), addr.eq(self.i.payload.addr),
                             words_left.eq(self.i.payload.count), self.index.eq(0)]
                with m.If(self.i.valid):
                    m.next = "MEASURE"
            with m.State("MEASURE"), m.If(queue.level == 0):
                room = Signal(range(BURST_WORDS + 1))
                m.d.comb += room.eq(BURST_WORDS - addr[2:6])
                for signal in (beats, beats_left):
                    m.d.sync += signal.eq(Mux(words_left < room, words_left, room))
                m.next = "REQUEST"
                with m.If(words_left == 0):
                    m.d.comb += self.written.eq(kind == Transfer.WRITE)
                    m.next = "IDLE"
                    with m.If(kind == Transfer.SUM):
                        m.next = "SUM"
            with m.State("REQUEST"):
                m.d.comb += [ar.valid.eq(kind != Transfer.WRITE), aw.valid.eq(kind == Transfer.WRITE)]
                with m.If((ar.valid & ar.ready) | (aw.valid & aw.ready)):
                    m.d.sync += [addr.eq(addr + (beats << 2)), words_left.eq(words_left - beats)]
                    m.next = "READ"
                    with m.If(kind == Transfer.WRITE):
                        m.next = "WRITE"
            with m.State("READ"):
                m.d.comb += [r.ready.eq(1), crc.valid.eq(r.valid), queue.i.valid.eq(r.valid & (kind == Transfer.READ))]
                with m.If(r.valid & r.payload.last):
                    m.next = "MEASURE"
            with m.State("SUM"):
                m.d.comb += [queue.i.valid.eq(1), queue.i.payload.eq(crc.crc)]
                m.next = "IDLE"
            with m.State("WRITE"):
                m.d.comb += w.valid.eq(1)
                with m.If(w.ready):
                    m.d.sync += [self.index.eq(self.index + 1), beats_left.eq(beats_left - 1)]
                    m.next = "FETCH"
                    with m.If(w.payload.last):
                        m.next = "RESPONSE"
            # The payload's memory takes 2 cycles to give the next word.
            with m.State("FETCH"):
                m.next = "FETCHED"
            with m.State("FETCHED"):
                m.next = "WRITE"
            with m.State("RESPONSE"):
                m.d.comb += b.ready.eq(1)
                with m.If(b.valid):
                    m.next = "MEASURE"
        return m

    def _connect_channels(self, m: Module, addr: Signal, beats: Signal, beats_left: Signal) -> None:
        """Payloads of the channels of the bus, for a burst of ``beats`` words at ``addr``."""
        for channel in (self.axi.ar, self.axi.aw):
            m.d.comb += [channel.payload.addr.eq(addr), channel.payload.len.eq(beats - 1),
                         channel.payload.size.eq(beat_size(WORD_BITS)), channel.payload.burst.eq(Burst.INCR)]
        w = self.axi.w.payload
        m.d.comb += [w.data.eq(self.word), w.strb.eq(-1), w.last.eq(beats_left == 1)]
