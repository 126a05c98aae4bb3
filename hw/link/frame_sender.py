"""Sends frames: turns responses into the bytes of the line.

:mod:`hw.link.protocol` describes the frames. The first byte is offered 1 cycle after the header is accepted. Between
the parts of a frame (start byte, header, each word, CRC) one cycle passes without a byte, so that a word takes at least
5 cycles; the line is slower than that.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In, Out

from hw.link.protocol import RESPONSE, START_RESPONSE, WORD_BITS, WORD_BYTES, LinkStatus

__all__ = ["FrameSender"]


class FrameSender(wiring.Component):
    """Turns responses into bytes.

    Members
    -------
    header : In(stream of RESPONSE)
        ``ready`` is 1 once the last byte of the response before has been accepted.
    words : In(stream of 32 bits)
        The payload, as many words as ``count`` of the header before says.
    o : Out(stream of 8 bits)
        Bytes of the line.
    """

    def __init__(self) -> None:
        super().__init__({"header": In(stream.Signature(RESPONSE)), "words": In(stream.Signature(WORD_BITS)),
                          "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = crc = catalog.CRC32_ISO_HDLC().create()
        # `word` holds the part of the frame that is being sent, `bytes_left` the number of its bytes yet to be sent.
        word, bytes_left, words_left = Signal(WORD_BITS), Signal(range(WORD_BYTES + 1)), Signal(16)
        sequence, status, header, sent = Signal(8), Signal(LinkStatus), Signal(RESPONSE), Signal()
        m.d.comb += [
            self.o.payload.eq(word[:8]),
            crc.data.eq(word[:8]),
            sent.eq(self.o.valid & self.o.ready),
            header.sequence.eq(sequence),
            header.status.eq(status),
            header.count.eq(words_left),
        ]
        with m.If(sent):
            m.d.sync += [word.eq(word >> 8), bytes_left.eq(bytes_left - 1)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.header.ready.eq(1), crc.start.eq(1)]
                m.d.sync += [
                    word.eq(START_RESPONSE),
                    bytes_left.eq(1),
                    sequence.eq(self.header.payload.sequence),
                    status.eq(self.header.payload.status),
                    words_left.eq(self.header.payload.count),
                ]
                with m.If(self.header.valid):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += self.o.valid.eq(bytes_left != 0)
                with m.If(bytes_left == 0):
                    m.d.sync += [word.eq(header), bytes_left.eq(RESPONSE.size // 8)]
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [self.o.valid.eq(bytes_left != 0), crc.valid.eq(sent)]
                with m.If(bytes_left == 0):
                    m.d.comb += self.words.ready.eq(words_left != 0)
                    m.d.sync += word.eq(Mux(words_left != 0, self.words.payload, crc.crc))
                    with m.If(words_left == 0):
                        m.d.sync += bytes_left.eq(WORD_BYTES)
                        m.next = "CRC"
                    with m.Elif(self.words.valid):
                        m.d.sync += [bytes_left.eq(WORD_BYTES), words_left.eq(words_left - 1)]
            with m.State("CRC"):
                m.d.comb += self.o.valid.eq(bytes_left != 0)
                with m.If(bytes_left == 0):
                    m.next = "IDLE"
        return m
