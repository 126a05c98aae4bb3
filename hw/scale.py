"""Scale: the one multiplication by a constant, and the assembly of a float32.

result = significand * factor * 2**exponent, rounded to 24 bits, ties to even; above the largest float32 it
saturates to that number. It cannot underflow: a sum that is not zero is at least 1, and the factor is normal.

The significand of the factor is that of 1 / (2**(k-1) - 1), the unit of the states, and so a constant of the format;
of the other formats it is 1. What differs between matrices is its power of two, which comes with each sum. The product
therefore takes an adder or a few: for k = 16 the significand is 1 + 2**-15.

Latency 2 cycles, one result a cycle.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat
from hw.config import EngineConfig
from hw.normalise import SIGNIFICAND, float_layout
from hw.stream_register import StreamRegister

__all__ = ["Scale", "result_layout", "unit_significand"]

_FRACTION = SIGNIFICAND - 1
_BIAS = 127
_EXPONENT = signed(10)


def result_layout() -> data.StructLayout:
    """A float32 ``result`` as bits, and whether it is the ``last`` of the matrix."""
    return data.StructLayout({"result": 32, "last": 1})


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
        self._config = config
        self._unit = unit_significand(config)
        super().__init__({
            "i": In(stream.Signature(float_layout(config))),
            "o": Out(stream.Signature(result_layout())),
        })

    def elaborate(self, platform):
        m = Module()
        product_layout = data.StructLayout(
            {"sign": 1, "product": 2 * SIGNIFICAND, "exponent": _EXPONENT, "last": 1})
        m.submodules.product = product = StreamRegister(product_layout)
        now, later = self.i.payload, product.i.payload
        m.d.comb += [
            product.i.valid.eq(self.i.valid),
            self.i.ready.eq(product.i.ready),
            later.sign.eq(now.sign),
            later.product.eq(sum(now.significand << i for i in range(SIGNIFICAND) if self._unit >> i & 1)),
            # Biased exponent of the result when the product is in [1, 2) * 2**46.
            later.exponent.eq(now.exponent + now.factor + _FRACTION),
            later.last.eq(now.last),
        ]

        m.submodules.result = result = StreamRegister(result_layout())
        now, later = product.o.payload, result.i.payload
        high = now.product[-1]
        normal = Signal(2 * SIGNIFICAND)
        m.d.comb += normal.eq(Mux(high, now.product, now.product << 1))
        kept, guard, rest = normal[SIGNIFICAND:], normal[SIGNIFICAND - 1], normal[:SIGNIFICAND - 1]
        rounded, exponent = Signal(SIGNIFICAND + 1), Signal(_EXPONENT)
        m.d.comb += [
            rounded.eq(kept + (guard & (rest.any() | kept[0]))),
            exponent.eq(now.exponent + high + rounded[SIGNIFICAND]),
            result.i.valid.eq(product.o.valid),
            product.o.ready.eq(result.i.ready),
            later.last.eq(now.last),
        ]
        with m.If(~normal[-1]):
            m.d.comb += later.result.eq(0)
        with m.Elif(exponent > 2 * _BIAS):
            m.d.comb += later.result.eq(Cat(Const((2 * _BIAS << _FRACTION) | ((1 << _FRACTION) - 1), 31), now.sign))
        with m.Else():
            m.d.comb += later.result.eq(Cat(rounded[:_FRACTION], exponent[:8], now.sign))
        wiring.connect(m, result.o, wiring.flipped(self.o))
        return m
