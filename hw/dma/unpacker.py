"""Unpacker: beats of the bus become datapath words, without a bit lost between them.

Words of ``word_bits`` follow each other in memory with no padding, least significant bit first; the last beat of a
matrix is padded. Any word at least as wide as a beat is served by this one gearbox: both widths are multiples of a
granule, and the beat that completes a word is shifted, with those before it, by a whole number of granules, in steps
of two binary digits each. 36-bit blocks, 16 to a word, on a 512-bit bus: granules of 64 bits, 9 beats for 8 words, one
beat a cycle for ever. Equal widths need no logic.

Latency :func:`unpacker_latency` cycles; one beat a cycle.
"""

from functools import partial
from math import gcd

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.parts.pipeline import pipeline
from hw.parts.stream_slice import StreamSlice, sliced
from hw.payloads import packed_layout

__all__ = ["Unpacker", "unpacker_latency", "unpacker_room"]

_STEP_DIGITS = 2
"""Binary digits of the distance that a step shifts by."""


def _digits(beat_bits: int, word_bits: int) -> int:
    """Binary digits of the distance, in granules, by which words are shifted."""
    return max(ceil_log2(beat_bits // gcd(beat_bits, word_bits)), 1)


def _steps(beat_bits: int, word_bits: int) -> int:
    """Steps of the shift; none when the widths are equal."""
    return 0 if beat_bits == word_bits else -(-_digits(beat_bits, word_bits) // _STEP_DIGITS)


def unpacker_latency(beat_bits: int, word_bits: int, slices: int = 0) -> int:
    """Cycles from the beat that completes a word to the word: one for each step of the shift and for each slice; none
    when the widths are equal."""
    steps = _steps(beat_bits, word_bits)
    return steps and steps + slices * StreamSlice.latency


def unpacker_room(beat_bits: int, word_bits: int, slices: int = 0) -> int:
    """Words that fit in when none is taken."""
    steps = _steps(beat_bits, word_bits)
    return steps and steps + slices * StreamSlice.room


class Unpacker(wiring.Component):
    """Gearbox from beats to words.

    Parameters
    ----------
    beat_bits, word_bits : int
        ``word_bits >= beat_bits``.
    slices : int
        Slices that words pass, so that no path leads from what takes them to what the beats come from. There are none
        where the widths are equal.

    Members
    -------
    i : In(stream of packed_layout)
    o : Out(stream of word_bits)
    """

    def __init__(self, beat_bits: int, word_bits: int, slices: int = 0):
        if word_bits < beat_bits:
            raise ValueError(f"unpacker: a word of {word_bits} bits is narrower than a beat of {beat_bits}")
        self._beat_bits, self._word_bits, self._slices = beat_bits, word_bits, slices
        super().__init__({"i": In(stream.Signature(packed_layout(beat_bits))), "o": Out(stream.Signature(word_bits))})

    def elaborate(self, platform: object) -> Module:
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
        # Beats before the last of a word that can hold parts of it.
        before = -(-(word - 1) // beat)

        # `missing`: granules of the word under way that have not come.
        missing, held = Signal(range(1, word + 1), init=word), Signal(before * self._beat_bits)
        complete, arrived = Signal(), Signal()
        m.d.comb += [complete.eq(missing <= beat), arrived.eq(self.i.valid & self.i.ready)]
        with m.If(arrived):
            m.d.sync += [
                held.eq(Cat(held, self.i.payload.data)[self._beat_bits:]),
                missing.eq(Mux(self.i.payload.last, word, Mux(complete, missing + (word - beat), missing - beat))),
            ]

        # A word that ends in the first granule of the newest beat starts at `lowest`.
        digits, lowest = ceil_log2(beat), before * beat + 1 - word
        window = Cat(held, self.i.payload.data)[lowest * granule:]
        whole = stream.Signature(data.StructLayout({"bits": len(window), "places": digits})).create()
        m.d.comb += [
            whole.valid.eq(self.i.valid & complete),
            whole.payload.bits.eq(window),
            whole.payload.places.eq(missing - 1),
            self.i.ready.eq(whole.ready),
        ]
        steps = []
        for left in reversed(range(0, _digits(self._beat_bits, self._word_bits), _STEP_DIGITS)):
            bits = (word + (1 << left) - 1) * granule
            shape = data.StructLayout({"bits": bits, "places": left}) if left else self._word_bits
            steps.append((shape, partial(self._shift, m, granule << left, left)))
        words = stream.Signature(self._word_bits).create() if self._slices else self.o
        pipeline(m, whole, words, steps)
        if self._slices:
            wiring.connect(m, sliced(m, "slice", words, self._slices), wiring.flipped(self.o))
        return m

    @staticmethod
    def _shift(m, unit, left, now, later):
        """Shift by the upper binary digits of the places, worth ``unit`` bits each; ``left`` digits remain."""
        shifted = now.bits >> Cat(Const(0, exact_log2(unit)), now.places[left:])
        if left:
            m.d.comb += [later.bits.eq(shifted), later.places.eq(now.places)]
        else:
            m.d.comb += later.eq(shifted)
