"""Frames of the serial link, in and out, byte by byte; :mod:`hw.link.protocol` says what they are."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.link.protocol import MAX_WORDS, REQUEST, RESPONSE, START_REQUEST, START_RESPONSE, WORD_BYTES, LinkCommand

__all__ = ["FrameReceiver", "FrameSender"]

_WORD_BITS = 8 * WORD_BYTES
_REQUEST_BYTES, _RESPONSE_BYTES = REQUEST.size // 8, RESPONSE.size // 8


class FrameReceiver(wiring.Component):
    """Requests out of bytes; wrong ones are dropped, as is what comes while one is offered.

    Parameters
    ----------
    silence : int
        Cycles without a byte after which a frame is no longer waited for.

    Members
    -------
    i : In(stream of 8 bits, always ready)
        Never two cycles in a row: a byte on the line takes longer.
    o : Out(stream of REQUEST)
        Requests whose CRC is right.
    word : In, content : Out(32)
        The payload of the request on offer: word ``word`` of it, 2 cycles later.
    """

    def __init__(self, silence):
        self._silence = silence
        super().__init__({"i": In(stream.Signature(8, always_ready=True)), "o": Out(stream.Signature(REQUEST)),
                          "word": In(range(MAX_WORDS)), "content": Out(_WORD_BITS)})

    def elaborate(self, platform):
        m = Module()
        byte, came = self.i.payload, self.i.valid
        m.submodules.payload = payload = Memory(shape=_WORD_BITS, depth=MAX_WORDS, init=[])
        write, read = payload.write_port(), payload.read_port()
        m.submodules.checksum = crc = catalog.CRC32_ISO_HDLC().create()
        word, place, final = Signal(_WORD_BITS), Signal(range(WORD_BYTES * MAX_WORDS + 1)), Signal()
        header, quiet, silent = Signal(REQUEST.size), Signal(range(self._silence + 1)), Signal()
        view = REQUEST(header)
        m.d.comb += [
            read.addr.eq(self.word),
            write.addr.eq(place[2:]),
            write.data.eq(Cat(word[8:], byte)),
            crc.data.eq(byte),
            self.o.payload.eq(view),
            silent.eq(quiet == self._silence),
        ]
        # Long known when a byte comes.
        m.d.sync += [self.content.eq(read.data), final.eq(place[2:] == view.count - 1)]
        with m.If(came):
            m.d.sync += [word.eq(Cat(word[8:], byte)), quiet.eq(0)]
        with m.Else():
            m.d.sync += quiet.eq(quiet + 1)
        with m.FSM() as fsm:
            with m.State("HUNT"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += place.eq(0)
                with m.If(came & (byte == START_REQUEST)):
                    m.next = "HEADER"
            with m.State("HEADER"):
                with m.If(came):
                    m.d.sync += [header.eq(Cat(header[8:], byte)), place.eq(place + 1)]
                    with m.If(place == _REQUEST_BYTES - 1):
                        m.d.sync += place.eq(0)
                        m.next = "LENGTH"
                with m.Elif(silent):
                    m.next = "HUNT"
            with m.State("LENGTH"):
                carries = (view.command == LinkCommand.WRITE_MEMORY) | (view.command == LinkCommand.WRITE_REGISTER)
                with m.If(~carries | (view.count == 0)):
                    m.next = "CRC"
                with m.Elif(view.count > MAX_WORDS):
                    m.next = "HUNT"
                with m.Else():
                    m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                with m.If(came):
                    m.d.comb += write.en.eq(place[:2] == WORD_BYTES - 1)
                    m.d.sync += place.eq(place + 1)
                    with m.If(write.en & final):
                        m.d.sync += place.eq(0)
                        m.next = "CRC"
                with m.Elif(silent):
                    m.next = "HUNT"
            with m.State("CRC"):
                with m.If(came):
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
            inside = fsm.ongoing("HEADER") | fsm.ongoing("PAYLOAD") | fsm.ongoing("CRC")
            m.d.comb += crc.valid.eq(came & inside)
        return m


class FrameSender(wiring.Component):
    """Responses into bytes.

    Members
    -------
    header : In(stream of RESPONSE)
    words : In(stream of 32 bits)
        The payload: as many as the header before says.
    o : Out(stream of 8 bits)
    """

    def __init__(self):
        super().__init__({"header": In(stream.Signature(RESPONSE)), "words": In(stream.Signature(_WORD_BITS)),
                          "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.checksum = crc = catalog.CRC32_ISO_HDLC().create()
        # Bytes of the header, of a word or of the CRC wait in `word`, `left` of them.
        word, left, words = Signal(_WORD_BITS), Signal(range(WORD_BYTES + 1)), Signal(16)
        sent = self.o.valid & self.o.ready
        m.d.comb += [self.o.payload.eq(word[:8]), crc.data.eq(word[:8])]
        with m.If(sent):
            m.d.sync += [word.eq(word >> 8), left.eq(left - 1)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.header.ready.eq(1), crc.start.eq(1)]
                m.d.sync += [word.eq(START_RESPONSE), left.eq(1), words.eq(self.header.payload.count)]
                header = Signal.like(self.header.payload)
                m.d.sync += header.eq(self.header.payload)
                with m.If(self.header.valid):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += self.o.valid.eq(left != 0)
                with m.If(left == 0):
                    m.d.sync += [word.eq(header), left.eq(_RESPONSE_BYTES)]
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [self.o.valid.eq(left != 0), crc.valid.eq(sent)]
                with m.If(left == 0):
                    m.d.comb += self.words.ready.eq(words != 0)
                    m.d.sync += word.eq(Mux(words != 0, self.words.payload, crc.crc))
                    with m.If(words == 0):
                        m.d.sync += left.eq(WORD_BYTES)
                        m.next = "CRC"
                    with m.Elif(self.words.valid):
                        m.d.sync += [left.eq(WORD_BYTES), words.eq(words - 1)]
            with m.State("CRC"):
                m.d.comb += self.o.valid.eq(left != 0)
                with m.If(left == 0):
                    m.next = "IDLE"
        return m
