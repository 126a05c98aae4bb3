"""Scale: the one multiplication by a constant, and the assembly of a float32.

result = significand * factor * 2**exponent, rounded to 24 bits, ties to even; above the largest float32 it
saturates to that number. It cannot underflow: a sum that is not zero is at least 1, and the factor is normal.

The significand of the factor is that of 1 / (2**(k-1) - 1), the unit of the states, and so a constant of the format;
of the other formats it is 1. What differs between matrices is its power of two, which comes with each sum. The product
therefore takes an adder or a few: for k = 16 the significand is 1 + 2**-15.

Latency :func:`scale_latency` cycles; one result a cycle.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat
from hw.config import EngineConfig
from hw.parts.pipeline import fused, pipeline
from hw.payloads import SIGNIFICAND, float_layout, result_layout

__all__ = ["Scale", "scale_latency", "unit_significand"]

_FRACTION = SIGNIFICAND - 1
_BIAS = 127
_EXPONENT = signed(10)


def scale_latency(config: EngineConfig) -> int:
    """Cycles from a significand to its float32: product; rounding; carry and assembly, in one step or two."""
    return 3 + config.pipelining.scale


def unit_significand(config: EngineConfig) -> int:
    """24-bit significand of a weight's unit, rounded to nearest."""
    if not isinstance(config.fmt, BlockFormat):
        return 1 << _FRACTION
    unit = config.fmt.unit
    quotient, rest = divmod(1 << (_FRACTION + unit.bit_length()), unit)
    quotient += 2 * rest >= unit
    return quotient if quotient < 1 << SIGNIFICAND else quotient >> 1


class Scale(wiring.Component):
    """Floating-point multiplication by a factor that holds for the whole matrix.

    Members
    -------
    i : In(stream of float_layout)
    o : Out(stream of result_layout)
    """

    def __init__(self, config: EngineConfig):
        self._steps = config.pipelining.scale
        self._unit = unit_significand(config)
        super().__init__({
            "i": In(stream.Signature(float_layout(config))),
            "o": Out(stream.Signature(result_layout())),
        })

    def elaborate(self, platform):
        m = Module()
        product = data.StructLayout({"sign": 1, "product": 2 * SIGNIFICAND, "exponent": _EXPONENT, "last": 1})
        rounded = data.StructLayout({"sign": 1, "zero": 1, "significand": SIGNIFICAND + 1, "exponent": _EXPONENT,
                                     "last": 1})

        def multiply(now, later):
            m.d.comb += [
                later.sign.eq(now.sign),
                later.product.eq(sum(now.significand << i for i in range(SIGNIFICAND) if self._unit >> i & 1)),
                # Biased exponent of the result when the product is in [1, 2) * 2**46.
                later.exponent.eq(now.exponent + now.factor + _FRACTION),
                later.last.eq(now.last),
            ]

        def round_(now, later):
            high, normal = now.product[-1], Signal(2 * SIGNIFICAND)
            kept, guard, rest = normal[SIGNIFICAND:], normal[SIGNIFICAND - 1], normal[:SIGNIFICAND - 1]
            m.d.comb += [
                normal.eq(Mux(high, now.product, now.product << 1)),
                later.sign.eq(now.sign),
                later.zero.eq(~normal[-1]),
                later.significand.eq(kept + (guard & (rest.any() | kept[0]))),
                later.exponent.eq(now.exponent + high),
                later.last.eq(now.last),
            ]

        def carry(now, later):
            # A carry out of the significand leaves a fraction of zeros.
            m.d.comb += [
                *(later[name].eq(now[name]) for name in ("sign", "zero", "significand", "last")),
                later.exponent.eq(now.exponent + now.significand[SIGNIFICAND]),
            ]

        def assemble(now, later):
            m.d.comb += later.last.eq(now.last)
            with m.If(now.zero):
                m.d.comb += later.result.eq(0)
            with m.Elif(now.exponent > 2 * _BIAS):
                m.d.comb += later.result.eq(
                    Cat(Const((2 * _BIAS << _FRACTION) | ((1 << _FRACTION) - 1), 31), now.sign))
            with m.Else():
                m.d.comb += later.result.eq(Cat(now.significand[:_FRACTION], now.exponent[:8], now.sign))

        ends = [(rounded, carry), (result_layout(), assemble)]
        rests = [(result_layout(), None)] * (self._steps - 1)
        pipeline(m, self.i, self.o, [(product, multiply), (rounded, round_),
                                     *(ends if self._steps else fused(ends, 2)), *rests])
        return m
