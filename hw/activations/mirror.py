"""Mirror: the signs of the columns, the first half of a rotation of inputs (:mod:`golden.rotation`).

The sign of column i is the lowest bit of the state of SeedLM's LFSR of 16 bits after i steps from ROTATION_SEED. A word
takes the bits of its ``c`` columns at once, and the register then leaps ahead by as many steps. It starts anew after
the last word of a group of rows.

Latency: 0 cycles, combinational from the word. Rate: one word a cycle.
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import ROTATION_SEED, TAPS
from hw.config import EngineConfig
from hw.payloads import ELEMENT_BITS, raw_word

__all__ = ["Mirror"]

_LFSR_BITS = 16


class Mirror(wiring.Component):
    """Changes signs of FP16 numbers.

    Parameters
    ----------
    config : EngineConfig
        It has the rotation.

    Members
    -------
    i : In(stream of raw_word)
        ``ready`` is always 1.
    o : Out(stream of raw_word)
        The words in the same order, whatever ``ready`` is.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({"i": In(stream.Signature(raw_word(config))), "o": Out(stream.Signature(raw_word(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, bits = self.i.payload, [Signal(name=f"bit{n}") for n in range(_LFSR_BITS + self._config.c)]
        state = Signal(_LFSR_BITS, init=ROTATION_SEED)
        for n, bit in enumerate(bits):
            later = n - _LFSR_BITS
            m.d.comb += bit.eq(state[n] if later < 0 else Cat(bits[later + tap] for tap in TAPS[_LFSR_BITS]).xor())
        with m.If(self.i.valid):
            m.d.sync += state.eq(Cat(bits[self._config.c:]))
            with m.If(word.last):
                m.d.sync += state.eq(ROTATION_SEED)
        m.d.comb += [self.i.ready.eq(1), self.o.valid.eq(self.i.valid), self.o.payload.eq(word)]
        for n in range(self._config.c):
            m.d.comb += self.o.payload.x[n][ELEMENT_BITS - 1].eq(word.x[n][ELEMENT_BITS - 1] ^ (word.rotated & bits[n]))
        return m
