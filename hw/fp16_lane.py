"""FP16 lane, the baseline's datapath: one row's weights in, that row's exact sum out.

    weight x activation --> fixed point in units of 2**-48 --> accumulator

A product of two finite FP16 numbers is an 11 x 11 bit integer times a power of two; shifted to units of 2**-48 it
is added without rounding.

Latency 4 cycles from the last weight of a row to its sum, one weight a cycle; never stalls.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring

from golden.spec import FP16_FRACTION
from hw.accumulator import Accumulator, lane_signature
from hw.config import EngineConfig

__all__ = ["Fp16Lane", "split_fp16"]


def split_fp16(bits):
    """Sign, 11-bit significand and biased exponent, at least 1, of finite FP16 ``bits``: value = m * 2**(f - 25)."""
    fraction, field, sign = bits[:FP16_FRACTION], bits[FP16_FRACTION:15], bits[15]
    normal = field.any()
    return sign, Cat(fraction, normal), Cat(field[0] | ~normal, field[1:])


class Fp16Lane(wiring.Component):
    """Multiply and accumulate the weights of one row. Members: :func:`~hw.accumulator.lane_signature`."""

    latency = 4

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(lane_signature(config))

    def elaborate(self, platform):
        m = Module()
        m.submodules.accumulator = accumulator = Accumulator(self._config)
        m.d.comb += self.i.ready.eq(1)

        word = Signal.like(self.i.payload)
        valid = Signal()
        m.d.sync += [valid.eq(self.i.valid), word.eq(self.i.payload)]

        weight_sign, weight, weight_exponent = split_fp16(word.block)
        x_sign, x, x_exponent = split_fp16(word.activations.x[0])
        valid_2, first_2, last_2, negative, magnitude, shift = (
            Signal(), Signal(), Signal(), Signal(), Signal(22), Signal(6))
        m.d.sync += [
            valid_2.eq(valid),
            first_2.eq(word.activations.first),
            last_2.eq(word.activations.last),
            negative.eq(weight_sign ^ x_sign),
            magnitude.eq(weight * x),
            shift.eq(weight_exponent + x_exponent - 2),
        ]

        product = Signal(signed(23))
        value = accumulator.i
        m.d.comb += product.eq(Mux(negative, -magnitude, magnitude))
        m.d.sync += [
            value.valid.eq(valid_2),
            value.payload.first.eq(first_2),
            value.payload.last.eq(last_2),
            value.payload.value.eq(product << shift),
        ]
        wiring.connect(m, accumulator.o, wiring.flipped(self.o))
        return m
