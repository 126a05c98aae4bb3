"""The serial link: requests of the host carried out on the registers and on memory.

    rx --> UART --> frame receiver --> decoder --> register bridge <--> registers (AXI4-Lite)
                                        |  |  `--> memory bridge <----> memory (AXI4)
                                        |  `-----> identity
                                        |             | words of all three
    tx <-- UART <-- frame sender <------+-------------'

One request is carried out at a time, and the next is received once its response has been handed to the UART. The line
sets latency and rate. The link itself adds about 8 cycles between the last byte of a request and the first bit of its
response, and the time that the registers or memory take.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.link.decoder import RequestDecoder
from hw.link.frame_receiver import FrameReceiver
from hw.link.frame_sender import FrameSender
from hw.link.identity import Identity
from hw.link.memory_bridge import MemoryBridge
from hw.link.protocol import SILENCE_BITS, WORD_BITS
from hw.link.register_bridge import RegisterBridge
from hw.link.uart import UartReceiver, UartTransmitter
from hw.parts.axi import AXI4LiteSignature, AXI4Signature
from hw.registers.register_map import ADDR_BITS

__all__ = ["Link"]


class Link(wiring.Component):
    """Master of the registers and of memory.

    Parameters
    ----------
    divisor : int
        Cycles of a bit on the line.
    addr_bits : int
        Bits of a byte address of memory, all of which exists.
    clock_hz : int
        Clock of the design, for the answer to IDENTIFY.

    Members
    -------
    rx, tx : In(1), Out(1)
        The line; ``rx`` need not be synchronised.
    axil : Out(AXI4LiteSignature)
        The bus of the registers.
    axi : Out(AXI4Signature)
        The bus of memory, 32 bits wide.
    active : Out(1)
        1 while a request is carried out and answered.
    """

    def __init__(self, divisor: int, addr_bits: int, clock_hz: int) -> None:
        self._divisor, self._addr_bits, self._clock_hz = divisor, addr_bits, clock_hz
        super().__init__({
            "rx": In(1, init=1), "tx": Out(1, init=1),
            "axil": Out(AXI4LiteSignature(ADDR_BITS)), "axi": Out(AXI4Signature(addr_bits, WORD_BITS)),
            "active": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.frames = frames = FrameReceiver(SILENCE_BITS * self._divisor)
        m.submodules.decoder = decoder = RequestDecoder(self._addr_bits)
        m.submodules.identity = identity = Identity(1 << self._addr_bits, self._clock_hz)
        m.submodules.registers = registers = RegisterBridge()
        m.submodules.memory = memory = MemoryBridge(self._addr_bits)
        m.submodules.sender = sender = FrameSender()
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        wiring.connect(m, receiver.o, frames.i)
        wiring.connect(m, frames.o, decoder.i)
        wiring.connect(m, decoder.access, registers.i)
        wiring.connect(m, decoder.transfer, memory.i)
        wiring.connect(m, decoder.header, sender.header)
        wiring.connect(m, sender.o, transmitter.i)
        wiring.connect(m, registers.axil, wiring.flipped(self.axil))
        wiring.connect(m, memory.axi, wiring.flipped(self.axi))
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            frames.index.eq(memory.index),
            memory.word.eq(frames.word),
            decoder.word.eq(frames.word),
            decoder.refused.eq(registers.refused),
            decoder.written.eq(memory.written),
            identity.identify.eq(decoder.identify),
            self.active.eq(frames.o.valid),
        ]
        # Only the source that the request is for has words, so that one multiplexer without arbitration suffices.
        m.d.comb += sender.words.payload.eq(memory.words.payload)
        for source in (registers.words, identity.words):
            with m.If(source.valid):
                m.d.comb += sender.words.payload.eq(source.payload)
        m.d.comb += sender.words.valid.eq(registers.words.valid | identity.words.valid | memory.words.valid)
        for source in (registers.words, identity.words, memory.words):
            m.d.comb += source.ready.eq(sender.words.ready)
        return m
