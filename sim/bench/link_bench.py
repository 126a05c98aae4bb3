"""Parts of the serial link for testbenches: both directions side by side, not connected to each other."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.link.frame_receiver import FrameReceiver
from hw.link.frame_sender import FrameSender
from hw.link.uart import UartReceiver, UartTransmitter

__all__ = ["FramesBench", "UartBench"]


class UartBench(wiring.Component):
    """Receiver and transmitter.

    Parameters
    ----------
    divisor : int
        Cycles of a bit on the line.

    Members
    -------
    rx : In(1)
        The receiver's line.
    received : Out(1), byte : Out(8)
        The receiver's bytes, each for one cycle.
    i : In(stream of 8 bits), tx : Out(1)
        The transmitter's bytes and its line.
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
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.received.eq(receiver.o.valid),
            self.byte.eq(receiver.o.payload),
            self.tx.eq(transmitter.tx),
        ]
        return m


class FramesBench(wiring.Component):
    """Receiver and sender.

    Parameters
    ----------
    silence : int
        Cycles without a byte after which the receiver drops an incomplete frame.

    Members
    -------
    received : In(1), byte : In(8)
        The receiver's bytes.
    request : Out(stream of REQUEST), index : In(range(MAX_WORDS)), word : Out(32)
        The receiver's requests and their payload.
    header : In(stream of RESPONSE), words : In(stream of 32 bits), sent : Out(stream of 8 bits)
        The sender's responses and its bytes.
    """

    def __init__(self, silence: int) -> None:
        self._receiver, self._sender = FrameReceiver(silence), FrameSender()
        receiver, sender = self._receiver.signature.members, self._sender.signature.members
        super().__init__({"received": In(1), "byte": In(8), "request": receiver["o"], "index": receiver["index"],
                          "word": receiver["word"], "header": sender["header"], "words": sender["words"],
                          "sent": sender["o"]})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.sender = sender = self._sender
        wiring.connect(m, receiver.o, wiring.flipped(self.request))
        wiring.connect(m, wiring.flipped(self.header), sender.header)
        wiring.connect(m, wiring.flipped(self.words), sender.words)
        wiring.connect(m, sender.o, wiring.flipped(self.sent))
        m.d.comb += [
            receiver.i.valid.eq(self.received),
            receiver.i.payload.eq(self.byte),
            receiver.index.eq(self.index),
            self.word.eq(receiver.word),
        ]
        return m
