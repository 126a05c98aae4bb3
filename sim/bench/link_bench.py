"""Parts of the serial link for testbenches: both directions side by side, not connected to each other."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.link.frames import FrameReceiver, FrameSender
from hw.link.uart import UartReceiver, UartTransmitter

__all__ = ["FramesBench", "UartBench"]


class UartBench(wiring.Component):
    """A receiver and a transmitter of bytes.

    Parameters
    ----------
    divisor : int
        Cycles of a bit on the serial lines.

    Members
    -------
    rx : In(1)
        The receiver's serial line.
    received : Out(1)
        The receiver offers a byte in this cycle.
    byte : Out(8)
        That byte.
    i : In(stream of 8 bits)
        The bytes to transmit.
    tx : Out(1)
        The transmitter's serial line.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "received": Out(1), "byte": Out(8),
                          "i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        m.d.comb += [receiver.rx.eq(self.rx), self.received.eq(receiver.o.valid), self.byte.eq(receiver.o.payload),
                     self.tx.eq(transmitter.tx)]
        return m


class FramesBench(wiring.Component):
    """A receiver and a sender of frames.

    Parameters
    ----------
    silence : int
        Cycles without a byte after which the receiver drops a frame that has begun.

    Members
    -------
    received : In(1)
        A byte comes in in this cycle.
    byte : In(8)
        That byte.
    request : Out(stream)
        The requests of the receiver.
    word : In
        The number of the word of the request's payload that is read.
    content : Out
        That word.
    header : In(stream)
        The responses to send.
    words : In(stream)
        The words of their payload.
    sent : Out(stream)
        The bytes of the sender.
    """

    def __init__(self, silence: int) -> None:
        self._receiver, self._sender = FrameReceiver(silence), FrameSender()
        receiver, sender = self._receiver.signature.members, self._sender.signature.members
        super().__init__({"received": In(1), "byte": In(8), "request": receiver["o"], "word": receiver["word"],
                          "content": receiver["content"], "header": sender["header"], "words": sender["words"],
                          "sent": sender["o"]})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.sender = sender = self._sender
        wiring.connect(m, receiver.o, wiring.flipped(self.request))
        wiring.connect(m, wiring.flipped(self.header), sender.header)
        wiring.connect(m, wiring.flipped(self.words), sender.words)
        wiring.connect(m, sender.o, wiring.flipped(self.sent))
        m.d.comb += [receiver.i.valid.eq(self.received), receiver.i.payload.eq(self.byte), receiver.word.eq(self.word),
                     self.content.eq(receiver.content)]
        return m
