"""UART: eight data bits, no parity, one stop bit; bytes as streams.

A received byte is offered for one cycle only: whoever listens is always ready.
"""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]

_BITS = 10
"""Of a byte on the line: a start bit, eight data bits, a stop bit."""


class UartReceiver(wiring.Component):
    """Line to bytes. Each bit is taken in its middle, counted from the falling edge of the start bit; a start bit that
    is high there was noise. After a byte without a stop bit, the next falling edge is waited for.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 2.

    Members
    -------
    rx : In(1)
        The line, not synchronised yet.
    o : Out(stream of 8 bits, always ready)
        Bytes whose stop bit is right.
    """

    def __init__(self, divisor):
        if divisor < 2:
            raise ValueError(f"uart: a bit must be at least 2 cycles, not {divisor}")
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform):
        m = Module()
        synchronised = Signal(4, init=-1)
        m.d.sync += synchronised.eq(Cat(self.rx, synchronised))
        line, before, bits = synchronised[2], synchronised[3], Signal(_BITS)
        timer, left = Signal(range(self._divisor + self._divisor // 2)), Signal(range(_BITS + 1))
        m.d.sync += self.o.valid.eq(0)
        with m.If((left == 0) & before & ~line):
            m.d.sync += [left.eq(_BITS), timer.eq(self._divisor // 2 - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.sync += [timer.eq(self._divisor - 1), left.eq(left - 1), bits.eq(Cat(bits[1:], line))]
            with m.If((left == _BITS) & line):
                m.d.sync += left.eq(0)
            with m.If(left == 1):
                m.d.sync += [self.o.valid.eq(line), self.o.payload.eq(bits[2:])]
        return m


class UartTransmitter(wiring.Component):
    """Bytes to the line.

    Parameters
    ----------
    divisor : int
        Cycles of a bit.

    Members
    -------
    i : In(stream of 8 bits)
    tx : Out(1)
    """

    def __init__(self, divisor):
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        bits, timer, left = Signal(_BITS - 1, init=-1), Signal(range(self._divisor)), Signal(range(_BITS + 1))
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [bits.eq(Cat(self.i.payload, Const(1, 1))), self.tx.eq(0), left.eq(_BITS),
                         timer.eq(self._divisor - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.sync += [timer.eq(self._divisor - 1), left.eq(left - 1), self.tx.eq(bits[0]),
                         bits.eq(Cat(bits[1:], Const(1, 1)))]
        return m
