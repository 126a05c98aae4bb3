"""Unpacker: beats of the bus become datapath words, without a bit lost between them.

Words of ``word_bits`` follow each other in memory with no padding, least significant bit first; the last beat of a
matrix is padded. One gearbox serves any word that is at least as wide as a beat. Both widths are multiples of a
granule, their greatest common divisor. The beat that completes a word is shifted, together with those before it, by a
whole number of granules, in steps of two binary digits each. An example: 16 blocks of 36 bits make a word of 576 bits,
so on a 512-bit bus the granule has 64 bits, and 9 beats become 8 words. Equal widths need no logic.

Latency: :func:`unpacker_latency` cycles from the beat that completes a word. Rate: one beat a cycle.
"""

from functools import partial
from math import gcd
from typing import Any

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
    """Words, at most, that the unpacker holds while none is accepted.

    A beat that completes no word leaves an empty step, which is not filled later because all steps advance together.
    """
    steps = _steps(beat_bits, word_bits)
    return steps and steps + slices * StreamSlice.room


class Unpacker(wiring.Component):
    """Gearbox from beats to words.

    Parameters
    ----------
    beat_bits, word_bits : int
        Widths in bits, ``word_bits >= beat_bits``.
    slices : int
        Slices that words pass, so that no path leads back from the datapath to the bus. There are none where the widths
        are equal.

    Members
    -------
    i : In(stream of packed_layout)
        After the last beat of a matrix, what is left of its padding is dropped.
    o : Out(stream of word_bits)

    Raises
    ------
    ValueError
        When a word is narrower than a beat.
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
        # A word can begin in so many beats before the one that completes it.
        before = -(-(word - 1) // beat)

        # `missing`: granules of the next word that have not been accepted. `held`: the beats before.
        missing, held = Signal(range(1, word + 1), init=word), Signal(before * self._beat_bits)
        complete, accepted = Signal(), Signal()
        m.d.comb += [complete.eq(missing <= beat), accepted.eq(self.i.valid & self.i.ready)]
        with m.If(accepted):
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
    def _shift(m: Module, unit: int, left: int, now: Any, later: Any) -> None:
        """A step: shift by the upper binary digits of ``places``, which are worth ``unit`` bits each.

        The steps behind it shift by the lower ``left`` digits.
        """
        shifted = now.bits >> Cat(Const(0, exact_log2(unit)), now.places[left:])
        if left:
            m.d.comb += [later.bits.eq(shifted), later.places.eq(now.places)]
        else:
            m.d.comb += later.eq(shifted)
