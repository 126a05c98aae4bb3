"""Rotate: activations as sums of blocks of 64, the second half of a rotation of inputs (:mod:`golden.rotation`).

    butterflies within a word --> butterflies between words, far ones first --> rounding

The signs of the columns are those of the FP16 numbers already (:mod:`hw.activations.mirror`). A level takes additions
and subtractions alone. Words that are not rotated go around all levels, and are not rounded.

Latency: :func:`rotate_latency` cycles from the last word of a block to the first of its rotated words, and 1 from a
word that is not rotated to the same. Rate: one word a cycle. After the last word of a block, so many cycles as
:func:`rotate_latency` and a block's words have to pass before a word that is not rotated.
"""

from typing import Any

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from golden.spec import ROTATION_BLOCK, ROTATION_DROPPED
from hw.activations.butterflies import Butterflies, turning_word
from hw.config import EngineConfig
from hw.parts.pipeline import Step, fused, pipeline
from hw.payloads import activation_word, aligned_word, word_ends

__all__ = ["Rotate", "rotate_latency", "rotate_words"]


def rotate_words(config: EngineConfig) -> int:
    """Words of a block."""
    return ROTATION_BLOCK // config.c


def _within_steps(config: EngineConfig) -> int:
    """Steps of the levels within a word: two levels at a time, or, for high clocks, one."""
    levels = exact_log2(config.c)
    return levels if config.pipelining.align else -(-levels // 2)


def rotate_latency(config: EngineConfig) -> int:
    """Cycles from the last word of a block to its first rotated word: levels within words, levels between words, and
    rounding."""
    return _within_steps(config) + exact_log2(rotate_words(config)) + 1


class Rotate(wiring.Component):
    """Transforms words of integers.

    Parameters
    ----------
    config : EngineConfig
        It has the rotation.

    Members
    -------
    i : In(stream of aligned_word)
        ``ready`` is always 1.
    o : Out(stream of activation_word)
        The words in the same order, whatever ``ready`` is.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(aligned_word(config))),
            "o": Out(stream.Signature(activation_word(config))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        c, bits, rest = config.c, config.act_bits, word_ends(config)

        def level(distance: int) -> Step:
            nonlocal bits
            bits += 1

            def step(now: Any, later: Any) -> None:
                for low in (n for n in range(c) if not n & distance):
                    high = low + distance
                    m.d.comb += [later.x[low].eq(now.x[low] + now.x[high]), later.x[high].eq(now.x[low] - now.x[high])]
                m.d.comb += [later[name].eq(now[name]) for name in rest]

            return turning_word(c, bits, rest), step

        within = [level(1 << n) for n in range(exact_log2(c))]
        turning, words = (stream.Signature(turning_word(c, width, rest)).create() for width in (config.act_bits, bits))
        word = self.i.payload
        m.d.comb += [self.i.ready.eq(1), turning.valid.eq(self.i.valid & word.rotated),
                     *(turning.payload[name].eq(word[name]) for name in ("x", *rest))]
        pipeline(m, turning, words, within if config.pipelining.align else fused(within, 2))
        distance, last = rotate_words(config) // 2, words
        while distance:
            m.submodules[f"level{distance}"] = between = Butterflies(c, bits, distance, rest)
            wiring.connect(m, last, between.i)
            last, bits, distance = between.o, bits + 1, distance // 2
        self._round(m, last)
        return m

    def _round(self, m: Module, last: stream.Interface) -> None:
        """Round rotated elements to nearest, ties to even, or take the word that goes around."""
        turned, word, o, passing = last.payload, self.i.payload, self.o.payload, Signal()
        m.d.comb += [last.ready.eq(1), passing.eq(self.i.valid & ~word.rotated)]
        m.d.sync += [
            Assert(~(passing & last.valid), "a word goes around a block that has not left yet"),
            self.o.valid.eq(last.valid | passing),
            *(o[name].eq(Mux(last.valid, turned[name], word[name])) for name in word_ends(self._config)),
        ]
        for n, (total, x, out) in enumerate(zip(turned.x, word.x, o.x, strict=True)):
            whole, half, below = (total[ROTATION_DROPPED:], total[ROTATION_DROPPED - 1],
                                  total[:ROTATION_DROPPED - 1].any())
            up = Signal(name=f"up{n}")
            m.d.comb += up.eq(last.valid & half & (below | whole[0]))
            m.d.sync += out.eq(Mux(last.valid, whole.as_signed(), x) + up)
