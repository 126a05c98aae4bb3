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

    Members
    -------
    rx : In, received : Out(1), byte : Out(8)
        The receiver's line and its bytes.
    i : In(stream of 8 bits), tx : Out
        The transmitter's bytes and its line.
    """

    def __init__(self, divisor: int):
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "received": Out(1), "byte": Out(8),
                          "i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        m.d.comb += [receiver.rx.eq(self.rx), self.received.eq(receiver.o.valid), self.byte.eq(receiver.o.payload),
                     self.tx.eq(transmitter.tx)]
        return m


class FramesBench(wiring.Component):
    """Receiver and sender.

    Parameters
    ----------
    silence : int

    Members
    -------
    received : In(1), byte : In(8), request : Out, word : In, content : Out
        The receiver's bytes, its requests and their payload.
    header, words, sent
        The sender's streams.
    """

    def __init__(self, silence: int):
        self._receiver, self._sender = FrameReceiver(silence), FrameSender()
        receiver, sender = self._receiver.signature.members, self._sender.signature.members
        super().__init__({"received": In(1), "byte": In(8), "request": receiver["o"], "index": receiver["index"],
                          "word": receiver["word"], "header": sender["header"], "words": sender["words"],
                          "sent": sender["o"]})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.sender = sender = self._sender
        wiring.connect(m, receiver.o, wiring.flipped(self.request))
        wiring.connect(m, wiring.flipped(self.header), sender.header)
        wiring.connect(m, wiring.flipped(self.words), sender.words)
        wiring.connect(m, sender.o, wiring.flipped(self.sent))
        m.d.comb += [receiver.i.valid.eq(self.received), receiver.i.payload.eq(self.byte), receiver.index.eq(self.index),
                     self.word.eq(receiver.word)]
        return m
