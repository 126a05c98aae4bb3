"""The answer to IDENTIFY: what board this is, and how many cycles it has counted.

The first word is offered 1 cycle after it is asked for, and one word can be accepted in every cycle.
"""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.link.protocol import IDENTITY, LINK_ID, WORD_BITS

__all__ = ["Identity"]


class Identity(wiring.Component):
    """Counts clock cycles, and offers the words of :data:`~hw.link.protocol.IDENTITY` when it is asked for them.

    Parameters
    ----------
    memory_bytes : int
        Size of the memory.
    clock_hz : int
        Clock of the design.

    Members
    -------
    identify : In(1)
        Strobe: the words are wanted. The words of the strobe before must have been accepted.
    words : Out(stream of 32 bits)
        The words in order. CYCLES is the count in the cycle of the strobe.
    """

    def __init__(self, memory_bytes: int, clock_hz: int) -> None:
        self._memory_bytes, self._clock_hz = memory_bytes, clock_hz
        super().__init__({"identify": In(1), "words": Out(stream.Signature(WORD_BITS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cycles, cycles_then, index = Signal(WORD_BITS), Signal(WORD_BITS), Signal(range(len(IDENTITY)))
        values = dict(zip(IDENTITY, (LINK_ID, self._memory_bytes, self._clock_hz, cycles_then), strict=True))
        m.d.comb += self.words.payload.eq(Array(values.values())[index])
        m.d.sync += cycles.eq(cycles + 1)
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += index.eq(index + 1)
            with m.If(index == len(values) - 1):
                m.d.sync += self.words.valid.eq(0)
        with m.If(self.identify):
            m.d.sync += [self.words.valid.eq(1), index.eq(0), cycles_then.eq(cycles)]
        return m
