"""Scale: multiplies by the matrix's factor, and by the row's scale if there is one, and assembles a float32.

    result = significand * factor * 2**exponent
    result = significand * factor * 2**exponent * scale / 2**-24

The result is rounded to 24 bits, ties to even. Above the largest float32 it saturates to that number. It cannot
underflow: a sum that is not zero is at least 1, so is a scale in its unit of 2**-24, and the factor is normal.

Only the factor's power of two differs between matrices, and it arrives with each sum. Its significand is a constant of
the format: that of 1 / (2**(k-1) - 1), the unit of the states, for SeedLM with exponents, and 1 for other formats. The
product with it therefore takes only a few adders: for k = 16 the significand is 1 + 2**-15. A row's scale is an FP16
number, zero or normal, whose significand of 11 bits takes a multiplier; where rows have scales, the factor's
significand is 1.

Latency: :func:`scale_latency` cycles. Rate: one result a cycle.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import FP16_FRACTION
from hw.config import EngineConfig
from hw.parts.fp16 import split_fp16
from hw.parts.pipeline import Step, fused, pipeline
from hw.payloads import SIGNIFICAND, float_layout, result_layout, row_scale

__all__ = ["Scale", "scale_latency", "unit_significand"]

_FRACTION = SIGNIFICAND - 1
"""Bits of a float32's fraction (IEEE 754)."""
_HALF = SIGNIFICAND // 2
"""Bits of half a significand."""
_BIAS = 127
"""Bias of a float32's exponent (IEEE 754)."""
_EXPONENT = signed(10)
"""Shape of the result's biased exponent before it saturates."""


def scale_latency(config: EngineConfig) -> int:
    """Cycles from a significand to its float32: product; rounding; carry and assembly. For high clocks, carry and
    assembly take two steps, and so does the product with a row's scale. Each further step of
    ``config.pipelining.scale`` is a register at the output."""
    steps = config.pipelining.scale
    return 3 + steps + bool(steps and row_scale(config))


def unit_significand(config: EngineConfig) -> int:
    """Significand of the factor of every matrix, an integer of 24 bits, rounded to nearest."""
    divisor = config.fmt.divisor
    quotient, rest = divmod(1 << (_FRACTION + divisor.bit_length()), divisor)
    quotient += 2 * rest >= divisor
    return quotient if quotient < 1 << SIGNIFICAND else quotient >> 1


class Scale(wiring.Component):
    """Multiplies floating-point numbers by the factor of their matrix.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of float_layout)
        Sums, each with the exponent of its matrix's factor, and with its row's scale if there is one.
    o : Out(stream of result_layout)
        The products as float32, in the same order.
    """

    def __init__(self, config: EngineConfig):
        self._config, self._steps = config, config.pipelining.scale
        self._unit = unit_significand(config)
        super().__init__({
            "i": In(stream.Signature(float_layout(config))),
            "o": Out(stream.Signature(result_layout())),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wide = SIGNIFICAND + (FP16_FRACTION + 1 if row_scale(self._config) else SIGNIFICAND)
        product = data.StructLayout({"sign": 1, "product": wide, "exponent": _EXPONENT, "last": 1})
        rounded = data.StructLayout({"sign": 1, "zero": 1, "significand": SIGNIFICAND + 1, "exponent": _EXPONENT,
                                     "last": 1})

        def round_(now: Any, later: Any) -> None:
            high, normal = now.product[-1], Signal(wide)
            kept, guard, rest = normal[-SIGNIFICAND:], normal[-SIGNIFICAND - 1], normal[:-SIGNIFICAND - 1]
            m.d.comb += [
                normal.eq(Mux(high, now.product, now.product << 1)),
                later.sign.eq(now.sign),
                later.zero.eq(~normal[-1]),
                later.significand.eq(kept + (guard & (rest.any() | kept[0]))),
                later.exponent.eq(now.exponent + high),
                later.last.eq(now.last),
            ]

        def carry(now: Any, later: Any) -> None:
            # After a carry out of the significand the fraction is 0.
            m.d.comb += [
                *(later[name].eq(now[name]) for name in ("sign", "zero", "significand", "last")),
                later.exponent.eq(now.exponent + now.significand[SIGNIFICAND]),
            ]

        def assemble(now: Any, later: Any) -> None:
            m.d.comb += later.last.eq(now.last)
            with m.If(now.zero):
                m.d.comb += later.result.eq(0)
            with m.Elif(now.exponent > 2 * _BIAS):
                m.d.comb += later.result.eq(
                    Cat(Const((2 * _BIAS << _FRACTION) | ((1 << _FRACTION) - 1), 31), now.sign))
            with m.Else():
                m.d.comb += later.result.eq(Cat(now.significand[:_FRACTION], now.exponent[:8], now.sign))

        ends = [(rounded, carry), (result_layout(), assemble)]
        registers = [(result_layout(), None)] * (self._steps - 1)
        multiply: list[Step] = [(product, partial(self._by_unit, m))]
        if row_scale(self._config):
            half = _HALF + FP16_FRACTION + 1
            halves = data.StructLayout({"sign": 1, "low": half, "high": half, "normal": 1, "field": 5,
                                        "exponent": _EXPONENT, "last": 1})
            multiply = [(halves, partial(self._by_halves, m)), (product, partial(self._join, m))]
            multiply = multiply if self._steps else fused(multiply, 2)
        pipeline(m, self.i, self.o, [*multiply, (rounded, round_),
                                     *(ends if self._steps else fused(ends, 2)), *registers])
        return m

    def _by_unit(self, m: Module, now: Any, later: Any) -> None:
        """The product with the constant significand of the factor."""
        m.d.comb += [
            later.sign.eq(now.sign),
            later.product.eq(sum(now.significand << i for i in range(SIGNIFICAND) if self._unit >> i & 1)),
            # This is the biased exponent of the result when the product is in [1, 2) * 2**46.
            later.exponent.eq(now.exponent + now.factor + _FRACTION),
            later.last.eq(now.last),
        ]

    @staticmethod
    def _by_halves(m: Module, now: Any, later: Any) -> None:
        """The products of both halves of the significand with that of the row's scale as if it were normal. It counts
        in units of 2**-24."""
        sign, significand, field = split_fp16(now.scale)
        # Nothing but wires before the multipliers, which take half of a fast clock's period.
        normal = Cat(significand[:-1], Const(1, 1))
        for name, half in (("low", now.significand[:_HALF]), ("high", now.significand[_HALF:])):
            # DSPs are for weights.
            product = Signal(_HALF + len(normal), name=name, attrs={"use_dsp": "no"})
            m.d.comb += [product.eq(half * normal), later[name].eq(product)]
        m.d.comb += [
            later.sign.eq(now.sign ^ sign),
            later.normal.eq(significand[-1]),
            later.field.eq(field),
            later.exponent.eq(now.exponent + now.factor),
            later.last.eq(now.last),
        ]

    @staticmethod
    def _join(m: Module, now: Any, later: Any) -> None:
        """The product with the row's scale. An exponent field of 0 stands for 0."""
        product = Cat(now.low[:_HALF], (now.high + now.low[_HALF:])[:len(now.high)])
        m.d.comb += [
            later.sign.eq(now.sign),
            later.product.eq(product & now.normal.replicate(len(product))),
            # This is the biased exponent of the result when the product is in [1, 2) * 2**33.
            later.exponent.eq(now.exponent + now.field + (_FRACTION + FP16_FRACTION - 1)),
            later.last.eq(now.last),
        ]
