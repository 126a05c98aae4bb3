"""The serial link: requests of the host carried out on the registers and on memory.

    rx --> UART --> frames --> requests --> registers (AXI4-Lite)
                                  |  ^-----> memory (AXI4)
    tx <-- UART <-- frames <------'

One request at a time. Latency: that of the line.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In, Out

from hw.engine.registers import ADDR_BITS
from hw.link.frames import FrameReceiver, FrameSender
from hw.link.protocol import IDENTITY, LINK_ID, SILENCE_BITS, WORD_BYTES, LinkCommand, LinkStatus
from hw.link.uart import UartReceiver, UartTransmitter
from hw.parts.axi import AXI4LiteSignature, AXI4Signature, Burst, Resp, beat_size
from hw.parts.stream_queue import StreamQueue

__all__ = ["BURST_WORDS", "Link"]

_WORD_BITS = 8 * WORD_BYTES
BURST_WORDS = 16
"""Words of a burst to memory, aligned to as many. They are taken at once: a slow line holds up no other master."""


class Link(wiring.Component):
    """Master of the registers and of memory.

    Parameters
    ----------
    divisor : int
        Cycles of a bit on the line.
    addr_bits : int
        Of memory, all of which there is.
    clock_hz : int
        What IDENTIFY tells.

    Members
    -------
    rx, tx : In(1), Out(1)
        The line; ``rx`` not synchronised.
    axil : Out(AXI4LiteSignature)
    axi : Out(AXI4Signature)
    active : Out(1)
        A request is being carried out.
    """

    def __init__(self, divisor, addr_bits, clock_hz):
        self._divisor, self._addr_bits, self._clock_hz = divisor, addr_bits, clock_hz
        super().__init__({
            "rx": In(1, init=1), "tx": Out(1, init=1),
            "axil": Out(AXI4LiteSignature(ADDR_BITS)), "axi": Out(AXI4Signature(addr_bits, _WORD_BITS)),
            "active": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        m.submodules.frames = frames = FrameReceiver(SILENCE_BITS * self._divisor)
        m.submodules.sender = sender = FrameSender()
        wiring.connect(m, receiver.o, frames.i)
        wiring.connect(m, sender.o, transmitter.i)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]

        request, status, count = frames.o.payload, Signal(LinkStatus), Signal(16)
        word = Signal(_WORD_BITS)
        m.d.comb += [
            sender.header.payload.sequence.eq(request.sequence),
            sender.header.payload.status.eq(status),
            sender.header.payload.count.eq(count),
            self.active.eq(frames.o.valid),
        ]
        # Between requests `repeated` says that there is a number to compare with.
        repeated, last_sequence, last_status = Signal(), Signal(8), Signal(LinkStatus)
        cycles = Signal(32)
        m.d.sync += cycles.eq(cycles + 1)
        identity = dict(zip(IDENTITY, (LINK_ID, 1 << self._addr_bits, self._clock_hz, cycles), strict=True))
        told = Signal(range(len(IDENTITY)))

        # Where in memory, bytes; what is left of the request, words; which word of its payload is wanted.
        addr, left, place = Signal(self._addr_bits + 1), Signal(17), Signal.like(frames.word)
        end, inside = Signal(33), Signal()
        m.d.comb += frames.word.eq(place)
        # A request is there for two cycles before it is decoded.
        m.d.sync += [
            end.eq(request.address + (request.count << 2)),
            inside.eq((end <= 1 << self._addr_bits) & (request.address[:2] == 0)),
        ]

        def respond(words, then, what=LinkStatus.DONE):
            m.d.sync += [status.eq(what), count.eq(words)]
            m.next = then

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += place.eq(0)
                with m.If(frames.o.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [addr.eq(request.address), left.eq(request.count), told.eq(0),
                             repeated.eq(repeated & (request.sequence == last_sequence))]
                m.next = "DECODE"
            with m.State("DECODE"), m.Switch(request.command):
                with m.Case(LinkCommand.IDENTIFY.value):
                    m.d.sync += repeated.eq(0)
                    respond(len(IDENTITY), "TELL")
                with m.Case(LinkCommand.READ_REGISTER.value):
                    m.next = "READ_REGISTER"
                with m.Case(LinkCommand.WRITE_REGISTER.value):
                    with m.If(repeated):
                        respond(0, "DONE", last_status)
                    with m.Else():
                        m.next = "WRITE_REGISTER"
                with m.Case(LinkCommand.READ_MEMORY.value):
                    respond(request.count, "READ")
                    with m.If(~inside):
                        respond(0, "DONE", LinkStatus.REFUSED)
                with m.Case(LinkCommand.SUM_MEMORY.value):
                    m.next = "SUM"
                    with m.If(~inside):
                        respond(0, "DONE", LinkStatus.REFUSED)
                with m.Case(LinkCommand.WRITE_MEMORY.value):
                    m.next = "WRITE"
                    with m.If(repeated | ~inside):
                        respond(0, "DONE", Mux(inside, last_status, LinkStatus.REFUSED))
                with m.Default():
                    respond(0, "DONE", LinkStatus.REFUSED)
            self._registers(m, frames, respond, word)
            self._memory(m, frames, sender, respond, word, addr, left, place)
            with m.State("TELL"):
                m.d.comb += sender.header.valid.eq(told == 0)
                with m.If(sender.header.ready):
                    m.next = "TELL_WORDS"
            with m.State("TELL_WORDS"):
                m.d.comb += sender.words.valid.eq(1)
                with m.Switch(told):
                    for number, value in enumerate(identity.values()):
                        with m.Case(number):
                            m.d.comb += sender.words.payload.eq(value)
                with m.If(sender.words.ready):
                    m.d.sync += told.eq(told + 1)
                    with m.If(told == len(IDENTITY) - 1):
                        m.next = "TAKEN"
            with m.State("WORD"):
                m.d.comb += sender.header.valid.eq(1)
                with m.If(sender.header.ready):
                    m.next = "WORD_SENT"
            with m.State("WORD_SENT"):
                m.d.comb += [sender.words.valid.eq(1), sender.words.payload.eq(word)]
                with m.If(sender.words.ready):
                    m.next = "TAKEN"
            # The end of a write, or of what was refused.
            with m.State("DONE"):
                m.d.comb += sender.header.valid.eq(1)
                with m.If(sender.header.ready):
                    m.d.sync += [last_sequence.eq(request.sequence), repeated.eq(1), last_status.eq(status)]
                    m.next = "TAKEN"
            with m.State("TAKEN"):
                m.d.comb += frames.o.ready.eq(1)
                m.next = "IDLE"
        return m

    def _registers(self, m, frames, respond, word):
        """States that read and write a register."""
        axil, request = self.axil, frames.o.payload
        legal, asked, given = Signal(), Signal(), Signal()
        m.d.sync += legal.eq((request.address >> ADDR_BITS) == 0)
        m.d.comb += [
            axil.ar.payload.addr.eq(request.address),
            axil.aw.payload.addr.eq(request.address),
            axil.w.payload.data.eq(frames.content),
            axil.w.payload.strb.eq(-1),
        ]
        with m.State("READ_REGISTER"):
            m.d.comb += [axil.ar.valid.eq(legal & ~asked), axil.r.ready.eq(1)]
            with m.If(axil.ar.ready & legal):
                m.d.sync += asked.eq(1)
            with m.If(~legal):
                respond(0, "DONE", LinkStatus.REFUSED)
            with m.Elif(axil.r.valid):
                m.d.sync += [asked.eq(0), word.eq(axil.r.payload.data)]
                respond(1, "WORD")
                with m.If(axil.r.payload.resp != Resp.OKAY):
                    respond(0, "DONE", LinkStatus.REFUSED)
        with m.State("WRITE_REGISTER"):
            whole = legal & (request.count == 1)
            m.d.comb += [
                axil.aw.valid.eq(whole & ~asked),
                axil.w.valid.eq(whole & ~given),
                axil.b.ready.eq(1),
            ]
            with m.If(axil.aw.valid & axil.aw.ready):
                m.d.sync += asked.eq(1)
            with m.If(axil.w.valid & axil.w.ready):
                m.d.sync += given.eq(1)
            with m.If(~whole):
                respond(0, "DONE", LinkStatus.REFUSED)
            with m.Elif(axil.b.valid):
                m.d.sync += [asked.eq(0), given.eq(0)]
                respond(0, "DONE")
                with m.If(axil.b.payload.resp != Resp.OKAY):
                    respond(0, "DONE", LinkStatus.REFUSED)

    def _memory(self, m, frames, sender, respond, word, addr, left, place):
        """States that move words to and from memory, in bursts."""
        axi = self.axi
        m.submodules.checksum = crc = catalog.CRC32_ISO_HDLC(_WORD_BITS).create()
        m.submodules.read_words = read = StreamQueue(_WORD_BITS, BURST_WORDS)
        room, beats = Signal(range(BURST_WORDS + 1)), Signal(range(BURST_WORDS + 1))
        m.d.comb += [room.eq(BURST_WORDS - addr[2:6]), beats.eq(Mux(left < room, left, room))]
        burst, under_way = Signal.like(beats), Signal.like(beats)
        for channel in (axi.ar, axi.aw):
            m.d.comb += [channel.payload.addr.eq(addr), channel.payload.len.eq(burst - 1),
                         channel.payload.size.eq(beat_size(_WORD_BITS)), channel.payload.burst.eq(Burst.INCR)]
        m.d.comb += [
            axi.w.payload.data.eq(frames.content),
            axi.w.payload.strb.eq(-1),
            axi.w.payload.last.eq(under_way == 1),
            crc.data.eq(axi.r.payload.data),
            read.i.payload.eq(axi.r.payload.data),
            sender.words.payload.eq(read.o.payload),
            sender.words.valid.eq(read.o.valid),
            read.o.ready.eq(sender.words.ready),
        ]
        with m.State("READ"):
            m.d.comb += sender.header.valid.eq(1)
            with m.If(sender.header.ready):
                m.next = "MEASURE_SENT"
        with m.State("SUM"):
            m.d.comb += crc.start.eq(1)
            m.next = "MEASURE_SUMMED"
        for name, end in (("SENT", "TAKEN"), ("SUMMED", "SUMS")):
            with m.State(f"MEASURE_{name}"), m.If(read.level == 0):
                m.d.sync += burst.eq(beats)
                m.next = f"ASK_{name}"
                with m.If(left == 0):
                    m.next = end
            with m.State(f"ASK_{name}"):
                m.d.comb += axi.ar.valid.eq(1)
                with m.If(axi.ar.ready):
                    m.d.sync += [addr.eq(addr + (burst << 2)), left.eq(left - burst)]
                    m.next = name
            with m.State(name):
                if name == "SENT":
                    m.d.comb += [read.i.valid.eq(axi.r.valid), axi.r.ready.eq(1)]
                else:
                    m.d.comb += [crc.valid.eq(axi.r.valid), axi.r.ready.eq(1)]
                with m.If(axi.r.valid & axi.r.ready & axi.r.payload.last):
                    m.next = f"MEASURE_{name}"
        with m.State("SUMS"):
            m.d.sync += word.eq(crc.crc)
            respond(1, "WORD")
        with m.State("WRITE"):
            m.d.sync += [burst.eq(beats), under_way.eq(beats)]
            m.next = "ASK_WRITE"
            with m.If(left == 0):
                respond(0, "DONE")
        with m.State("ASK_WRITE"):
            m.d.comb += axi.aw.valid.eq(1)
            with m.If(axi.aw.ready):
                m.d.sync += [addr.eq(addr + (burst << 2)), left.eq(left - burst)]
                m.next = "GIVE"
        # The payload's memory takes 2 cycles: every third gives a word.
        with m.State("GIVE"):
            m.d.comb += axi.w.valid.eq(1)
            with m.If(axi.w.ready):
                m.d.sync += [place.eq(place + 1), under_way.eq(under_way - 1)]
                m.next = "FETCH"
                with m.If(axi.w.payload.last):
                    m.next = "WRITTEN"
        with m.State("FETCH"):
            m.next = "FETCHED"
        with m.State("FETCHED"):
            m.next = "GIVE"
        with m.State("WRITTEN"):
            m.d.comb += axi.b.ready.eq(1)
            with m.If(axi.b.valid):
                m.next = "WRITE"
