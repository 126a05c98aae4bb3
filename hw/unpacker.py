"""Unpacker: beats of the bus become datapath words, without a bit lost between them.

Words of ``word_bits`` follow each other in memory with no padding, least significant bit first; the last beat of a
matrix is padded. Any word at least as wide as a beat is served by this one gearbox: both widths are multiples of a
granule, and a beat is shifted by a whole number of granules behind what is already held. 36-bit blocks, 16 to a word,
on a 512-bit bus: granules of 64 bits, 9 beats for 8 words, one beat a cycle for ever. Equal widths need no logic.

Latency 0 when the widths are equal, else 1 cycle; one beat a cycle, and a cycle's pause between matrices.
"""

from math import gcd

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Unpacker", "packed_layout"]


def packed_layout(beat_bits: int) -> data.StructLayout:
    """A beat of a weight image, and whether it is the ``last``."""
    return data.StructLayout({"data": beat_bits, "last": 1})


class Unpacker(wiring.Component):
    """Gearbox from beats to words.

    Parameters
    ----------
    beat_bits, word_bits : int
        ``word_bits >= beat_bits``.

    Members
    -------
    i : In(stream of packed_layout)
    o : Out(stream of word_bits)
    """

    def __init__(self, beat_bits, word_bits):
        if word_bits < beat_bits:
            raise ValueError(f"unpacker: a word of {word_bits} bits is narrower than a beat of {beat_bits}")
        self._beat_bits, self._word_bits = beat_bits, word_bits
        super().__init__({"i": In(stream.Signature(packed_layout(beat_bits))), "o": Out(stream.Signature(word_bits))})

    def elaborate(self, platform):
        m = Module()
        if self._beat_bits == self._word_bits:
            m.d.comb += [
                self.o.valid.eq(self.i.valid),
                self.o.payload.eq(self.i.payload.data),
                self.i.ready.eq(self.o.ready),
            ]
            return m

        granule = gcd(self._beat_bits, self._word_bits)
        beat, word = self._beat_bits // granule, self._word_bits // granule
        capacity = beat + word - 1
        held, level = Signal(capacity * granule), Signal(range(capacity + 1))

        # From the last beat of a matrix until its last word is gone, and the padding with it.
        ending = Signal()
        full, kept, rest = Signal(), Signal(range(capacity + 1)), Signal(capacity * granule)
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            full.eq(level >= word),
            self.o.valid.eq(full),
            self.o.payload.eq(held),
            kept.eq(level),
            rest.eq(held),
            self.i.ready.eq(~ending & (kept <= capacity - beat)),
        ]
        with m.If(taken):
            m.d.comb += [kept.eq(level - word), rest.eq(held >> self._word_bits)]
        m.d.sync += [held.eq(rest), level.eq(kept)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [level.eq(kept + beat), ending.eq(self.i.payload.last)]
            with m.Switch(kept):
                for position in range(capacity - beat + 1):
                    with m.Case(position):
                        m.d.sync += held[position * granule:(position + beat) * granule].eq(self.i.payload.data)
        # It was one word at most.
        with m.If(ending & (taken | ~full)):
            m.d.sync += [level.eq(0), ending.eq(0)]
        return m
