"""Align: FP16 activations become integers under the vector's shared exponent.

The element m * 2**(f - 25) becomes round(m * 2**(bits - 12) / 2**(shared - f)), with ``bits = config.act_bits``. Ties
are rounded to even, the sign is kept, and the result saturates to +-(2**(bits - 1) - 1). This is the golden model's
rule of block floating point.

Latency: :func:`align_latency` cycles. Rate: one word a cycle.
"""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import FP16_FRACTION
from hw.config import EngineConfig
from hw.parts.fp16 import split_fp16
from hw.parts.pipeline import Step, fused, pipeline
from hw.payloads import activation_word, raw_word, word_ends

__all__ = ["Align", "align_latency"]


def align_latency(config: EngineConfig) -> int:
    """Cycles from an FP16 word to its integers: the distance of the shift; the shift, which takes two steps for high
    clocks; the rounding. Each further step of ``config.pipelining.align`` is a register at the output."""
    return 3 + config.pipelining.align


class Align(wiring.Component):
    """Converts words of FP16 numbers to words of integers.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of raw_word)
        Words of finite FP16 numbers and their vector's greatest exponent field.
    o : Out(stream of activation_word)
        The words as integers of ``act_bits`` bits, in the same order.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(raw_word(config))),
            "o": Out(stream.Signature(activation_word(config))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, bits = self._config, self._config.act_bits
        # The greatest significand has one bit more than its fraction and fills all bits of the integer but the sign.
        below = FP16_FRACTION + 1 - (bits - 1)
        unit_bits = FP16_FRACTION + 1 + max(-below, 0)

        def word(**element: Any) -> data.StructLayout:
            """Elements of these fields, and what ends with the word."""
            return data.StructLayout({"x": data.ArrayLayout(data.StructLayout(element), config.c),
                                      **word_ends(config)})

        # `unit` is what is to be shifted down, by `distance` places.
        measured = word(sign=1, unit=unit_bits, distance=range(bits + 1))
        # `moved` has been shifted by a multiple of four places; `distance` is the rest of the places.
        moved = word(sign=1, moved=unit_bits + bits, distance=2)
        # `half` is the bit below the integer; `rest`, whether any bit below that one is set, decides ties.
        shifted = word(sign=1, whole=bits - 1, half=1, rest=1)

        def each(step: Callable[[Module, Any, Any, int], None]) -> Callable[[Any, Any], None]:
            """A step of the pipeline that does ``step`` for each element of a word."""

            def whole_word(now: Any, later: Any) -> None:
                m.d.comb += [later[name].eq(now[name]) for name in word_ends(config)]
                for c in range(config.c):
                    step(m, now, later, c)

            return whole_word

        steps = config.pipelining.align
        shifts: list[Step] = [(moved, each(self._coarse)), (shifted, each(self._fine))]
        registers = [(activation_word(config), None)] * (steps - 1)
        pipeline(m, self.i, self.o, [(measured, each(self._measure)), *(shifts if steps else fused(shifts, 2)),
                                     (activation_word(config), each(self._round)), *registers])
        return m

    def _measure(self, m: Module, word: Any, later: Any, c: int) -> None:
        """Element ``c``: its distance from the vector's greatest exponent."""
        sign, significand, field = split_fp16(word.x[c])
        element = later.x[c]
        # Longer shifts than `longest` round to zero as that one does, which leaves the significand below the half.
        longest = self._config.act_bits
        gap = Signal(5, name=f"gap{c}")
        m.d.comb += [
            gap.eq(word.shared - field),
            element.sign.eq(sign),
            element.unit.eq(Cat(Const(0, len(element.unit) - len(significand)), significand)),
            element.distance.eq(Mux(gap > longest, longest, gap)),
        ]

    def _coarse(self, m: Module, word: Any, later: Any, c: int) -> None:
        """Element ``c``: the shift by a multiple of four places."""
        now, element = word.x[c], later.x[c]
        m.d.comb += [
            element.sign.eq(now.sign),
            element.moved.eq(Cat(Const(0, self._config.act_bits), now.unit) >> Cat(Const(0, 2), now.distance[2:])),
            element.distance.eq(now.distance),
        ]

    def _fine(self, m: Module, word: Any, later: Any, c: int) -> None:
        """Element ``c``: the shift by the rest of the places, and what lies below the integer."""
        now, element = word.x[c], later.x[c]
        moved = Signal(len(now.moved), name=f"moved{c}")
        spare = len(moved) - len(element.whole)
        m.d.comb += [
            moved.eq(now.moved >> now.distance),
            element.sign.eq(now.sign),
            element.whole.eq(moved[spare:]),
            element.half.eq(moved[spare - 1]),
            element.rest.eq(moved[:spare - 1].any()),
        ]

    def _round(self, m: Module, word: Any, later: Any, c: int) -> None:
        """Element ``c``: the rounding, and the sign."""
        # -(whole + up) is ~whole + !up, so one adder serves both signs. Only an integer with fewer bits than the
        # significand can overflow.
        sign, whole = word.x[c].sign, word.x[c].whole
        up = word.x[c].half & (word.x[c].rest | whole[0])
        if len(whole) < FP16_FRACTION + 1:
            up = up & ~whole.all()
        m.d.comb += later.x[c].eq(Cat(whole ^ sign.replicate(len(whole)), sign).as_signed() + (up ^ sign))
