"""Unpacker: beats of the bus become datapath words, without a bit lost between them.

Words of ``word_bits`` follow each other in memory with no padding, least significant bit first; the last beat of a
matrix is padded. Any word at least as wide as a beat is served by this one gearbox: both widths are multiples of a
granule, and a beat is shifted by a whole number of granules behind what is already held. 36-bit blocks, 16 to a word,
on a 512-bit bus: granules of 64 bits, 9 beats for 8 words, one beat a cycle for ever. Equal widths need no logic.

Latency 0 when the widths are equal, else 1 cycle; one beat a cycle.
"""

from math import gcd

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Unpacker"]


class Unpacker(wiring.Component):
    """Gearbox from beats to words.

    Parameters
    ----------
    beat_bits, word_bits : int
        ``word_bits >= beat_bits``.

    Members
    -------
    i : In(stream of beat_bits)
    o : Out(stream of word_bits)
    flush : In(1)
        Forget what is held: the next beat starts a matrix.
    """

    def __init__(self, beat_bits, word_bits):
        if word_bits < beat_bits:
            raise ValueError(f"unpacker: a word of {word_bits} bits is narrower than a beat of {beat_bits}")
        self._beat_bits, self._word_bits = beat_bits, word_bits
        super().__init__({"i": In(stream.Signature(beat_bits)), "o": Out(stream.Signature(word_bits)), "flush": In(1)})

    def elaborate(self, platform):
        m = Module()
        if self._beat_bits == self._word_bits:
            wiring.connect(m, wiring.flipped(self.i), wiring.flipped(self.o))
            return m

        granule = gcd(self._beat_bits, self._word_bits)
        beat, word = self._beat_bits // granule, self._word_bits // granule
        capacity = beat + word - 1
        held, level = Signal(capacity * granule), Signal(range(capacity + 1))

        full, kept, rest = Signal(), Signal(range(capacity + 1)), Signal(capacity * granule)
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            full.eq(level >= word),
            self.o.valid.eq(full),
            self.o.payload.eq(held),
            kept.eq(level),
            rest.eq(held),
            self.i.ready.eq(kept <= capacity - beat),
        ]
        with m.If(taken):
            m.d.comb += [kept.eq(level - word), rest.eq(held >> self._word_bits)]
        m.d.sync += [held.eq(rest), level.eq(kept)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += level.eq(kept + beat)
            with m.Switch(kept):
                for position in range(capacity - beat + 1):
                    with m.Case(position):
                        m.d.sync += held[position * granule:(position + beat) * granule].eq(self.i.payload)
        with m.If(self.flush):
            m.d.sync += level.eq(0)
        return m
