"""UART: eight data bits, no parity, one stop bit; bytes as streams.

A byte is offered 9.5 bits and 4 cycles after its start bit begins, for one cycle only, so its sink must always be
ready. A byte to send appears on the line 1 cycle after it is accepted. Each direction passes one byte in 10 bits of the
line; one more cycle passes between two bytes that are sent.
"""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]

_BITS = 10
"""Bits of a byte on the line: a start bit, eight data bits, a stop bit."""


class UartReceiver(wiring.Component):
    """Turns the line's levels into bytes.

    Each bit is sampled in its middle, counted from the falling edge of the start bit. A start bit that is high there
    was noise. After a byte without a stop bit, the receiver waits for the next falling edge.

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

    Raises
    ------
    ValueError
        When ``divisor`` is less than 2.
    """

    def __init__(self, divisor: int) -> None:
        if divisor < 2:
            raise ValueError(f"uart: a bit must be at least 2 cycles, not {divisor}")
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        synchronised = Signal(4, init=-1)
        m.d.sync += synchronised.eq(Cat(self.rx, synchronised))
        line, line_before, bits = synchronised[2], synchronised[3], Signal(_BITS)
        # Cycles until the next sample, and samples that are left of the byte.
        timer, bits_left = Signal(range(self._divisor + self._divisor // 2)), Signal(range(_BITS + 1))
        m.d.sync += self.o.valid.eq(0)
        with m.If((bits_left == 0) & line_before & ~line):
            m.d.sync += [bits_left.eq(_BITS), timer.eq(self._divisor // 2 - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits_left != 0):
            m.d.sync += [timer.eq(self._divisor - 1), bits_left.eq(bits_left - 1), bits.eq(Cat(bits[1:], line))]
            with m.If((bits_left == _BITS) & line):
                m.d.sync += bits_left.eq(0)
            with m.If(bits_left == 1):
                m.d.sync += [self.o.valid.eq(line), self.o.payload.eq(bits[2:])]
        return m


class UartTransmitter(wiring.Component):
    """Turns bytes into levels of the line.

    Parameters
    ----------
    divisor : int
        Cycles of a bit.

    Members
    -------
    i : In(stream of 8 bits)
        Bytes to send.
    tx : Out(1)
        The line.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Bits behind the one on the line, cycles and bits until the byte has been sent.
        bits = Signal(_BITS - 1, init=-1)
        timer, bits_left = Signal(range(self._divisor)), Signal(range(_BITS + 1))
        m.d.comb += self.i.ready.eq(bits_left == 0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [bits.eq(Cat(self.i.payload, Const(1, 1))), self.tx.eq(0), bits_left.eq(_BITS),
                         timer.eq(self._divisor - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits_left != 0):
            m.d.sync += [timer.eq(self._divisor - 1), bits_left.eq(bits_left - 1), self.tx.eq(bits[0]),
                         bits.eq(Cat(bits[1:], Const(1, 1)))]
        return m
