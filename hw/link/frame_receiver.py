"""Receives frames: finds requests among the bytes of the line and offers those that are undamaged.

:mod:`hw.link.protocol` describes the frames. A request is offered 2 cycles after the last byte of its frame, and at
most one in every 13 bytes, the length of the shortest frame. Bytes that arrive while a request is offered are dropped.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.link.protocol import MAX_WORDS, REQUEST, START_REQUEST, WORD_BITS, WORD_BYTES, LinkCommand

__all__ = ["FrameReceiver"]

_REQUEST_BYTES = REQUEST.size // 8


class FrameReceiver(wiring.Component):
    """Turns bytes into requests, and holds the payload of the request that it offers.

    Parameters
    ----------
    silence : int
        Cycles without a byte after which an incomplete frame is dropped.

    Members
    -------
    i : In(stream of 8 bits, always ready)
        Bytes of the line. ``valid`` is never 1 in two cycles in a row, because a byte lasts longer on the line.
    o : Out(stream of REQUEST)
        Headers of the requests whose CRC is right.
    index : In(range(MAX_WORDS))
        Selects a word in the payload of the request that is offered.
    word : Out(32)
        The word at ``index``, 2 cycles later.
    """

    def __init__(self, silence: int) -> None:
        self._silence = silence
        super().__init__({"i": In(stream.Signature(8, always_ready=True)), "o": Out(stream.Signature(REQUEST)),
                          "index": In(range(MAX_WORDS)), "word": Out(WORD_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        received, byte = self.i.valid, self.i.payload
        m.submodules.checksum = crc = catalog.CRC32_ISO_HDLC().create()
        # `place` counts the bytes of the part of the frame that is being received.
        header, place = Signal(REQUEST.size), Signal(range(WORD_BYTES * MAX_WORDS + 1))
        request, complete, last, silent = REQUEST(header), Signal(), Signal(), self._silent(m)
        carries = (request.command == LinkCommand.WRITE_MEMORY) | (request.command == LinkCommand.WRITE_REGISTER)
        self._store(m, place[2:], complete)
        m.d.comb += [crc.data.eq(byte), self.o.payload.eq(request)]
        # The comparison has cycles to spare until the last byte of the word is received.
        m.d.sync += last.eq(place[2:] == request.count - 1)
        with m.FSM() as fsm:
            with m.State("HUNT"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += place.eq(0)
                with m.If(received & (byte == START_REQUEST)):
                    m.next = "HEADER"
            with m.State("HEADER"):
                with m.If(received):
                    m.d.sync += [header.eq(Cat(header[8:], byte)), place.eq(place + 1)]
                    with m.If(place == _REQUEST_BYTES - 1):
                        m.d.sync += place.eq(0)
                        m.next = "LENGTH"
                with m.Elif(silent):
                    m.next = "HUNT"
            with m.State("LENGTH"):
                m.next = "PAYLOAD"
                with m.If(~carries | (request.count == 0)):
                    m.next = "CRC"
                with m.Elif(request.count > MAX_WORDS):
                    m.next = "HUNT"
            with m.State("PAYLOAD"):
                with m.If(received):
                    m.d.comb += complete.eq(place[:2] == WORD_BYTES - 1)
                    m.d.sync += place.eq(place + 1)
                    with m.If(complete & last):
                        m.d.sync += place.eq(0)
                        m.next = "CRC"
                with m.Elif(silent):
                    m.next = "HUNT"
            with m.State("CRC"):
                with m.If(received):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == WORD_BYTES - 1):
                        m.next = "CHECK"
                with m.Elif(silent):
                    m.next = "HUNT"
            with m.State("CHECK"):
                m.next = "HUNT"
                with m.If(crc.match_detected):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "HUNT"
            checked = fsm.ongoing("HEADER") | fsm.ongoing("PAYLOAD") | fsm.ongoing("CRC")
            m.d.comb += crc.valid.eq(received & checked)
        return m

    def _silent(self, m: Module) -> Value:
        """1 in the cycle in which no byte has been received for ``silence`` cycles."""
        quiet = Signal(range(self._silence + 1))
        m.d.sync += quiet.eq(quiet + 1)
        with m.If(self.i.valid):
            m.d.sync += quiet.eq(0)
        return quiet == self._silence

    def _store(self, m: Module, index: Value, complete: Value) -> None:
        """The payload's memory: the last four bytes become word ``index`` of it in a cycle in which they are
        ``complete``."""
        payload: Memory[Any, Value] = Memory(shape=WORD_BITS, depth=MAX_WORDS, init=[])
        m.submodules.payload = payload
        write, read = payload.write_port(), payload.read_port()
        earlier = Signal(WORD_BITS - 8)
        with m.If(self.i.valid):
            m.d.sync += earlier.eq(Cat(earlier[8:], self.i.payload))
        m.d.comb += [
            write.addr.eq(index),
            write.data.eq(Cat(earlier, self.i.payload)),
            write.en.eq(complete),
            read.addr.eq(self.index),
        ]
        m.d.sync += self.word.eq(read.data)
