"""FP16 lane, the baseline's datapath: it takes one row's weights and gives that row's exact sum.

    weight x activation --> fixed point in units of 2**-48 --> accumulator

A product of two finite FP16 numbers is an integer of 11 x 11 bits times a power of two. It is shifted to units of
2**-48, and so added without rounding.

Latency: :func:`fp16_lane_latency` cycles from the last weight of a row to its sum. Rate: one weight a cycle; the lane
never stalls.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring

from golden.spec import FP16_FRACTION, HalfFormat
from hw.config import ConfigError, EngineConfig
from hw.lanes.accumulator import Accumulator
from hw.parts.delay import delayed, own_copy
from hw.parts.fp16 import split_fp16
from hw.payloads import lane_signature

__all__ = ["Fp16Lane", "fp16_lane_latency"]


def fp16_lane_latency(config: EngineConfig) -> int:
    """Cycles from the last weight of a row to its sum: fields of the factors, product, registers of
    ``config.pipelining.product``, two steps of the shift, accumulator."""
    return 1 + 1 + config.pipelining.product + 2 + Accumulator.latency


class Fp16Lane(wiring.Component):
    """Multiplies and accumulates the weights of one row.

    Parameters
    ----------
    config : EngineConfig

    Its members are those of :func:`~hw.payloads.lane_signature`.

    Raises
    ------
    ConfigError
        When the weights are not FP16.
    """

    def __init__(self, config: EngineConfig):
        if not isinstance(config.fmt, HalfFormat):
            raise ConfigError(f"FP16 lane: the weights must be of the format fp16, not {config.name}")
        self._config = config
        super().__init__(lane_signature(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accumulator = accumulator = Accumulator(self._config)
        m.d.comb += self.i.ready.eq(1)

        # 1: the fields of both factors; the end of the row travels beside the multiplication.
        word = self.i.payload
        factor = data.StructLayout({"sign": 1, "significand": FP16_FRACTION + 1, "exponent": 5})
        weight, side = Signal(factor, reset_less=True), Signal(data.StructLayout({"valid": 1, "last": 1}))
        activation = factor(own_copy(m, Cat(*split_fp16(word.activations.x[0])), "activation",
                                    self._config.pipelining.apart))
        m.d.sync += [
            weight.eq(Cat(*split_fp16(word.block))),
            side.eq(Cat(self.i.valid, word.activations.last)),
        ]

        # 2: the product of the significands.
        magnitude, negative, shift = Signal(22, reset_less=True), Signal(), Signal(6)
        m.d.sync += [
            magnitude.eq(weight.significand * activation.significand),
            negative.eq(weight.sign ^ activation.sign),
            shift.eq(weight.exponent + activation.exponent - 2),
        ]

        # 3 and 4: sign and shift, in two steps. For high clocks the sign has a step of its own.
        steps = self._config.pipelining.product
        number = delayed(m, Mux(negative, -magnitude, magnitude), steps, "number", reset_less=True)
        shift = delayed(m, shift, steps, "shift")
        product, coarse = Signal(signed(23 + 7)), Signal(3)
        m.d.sync += [product.eq(number << shift[:3]), coarse.eq(shift[3:])]
        value = accumulator.i
        side = delayed(m, side, 3 + steps, "side")
        m.d.comb += [value.valid.eq(side.valid), value.payload.last.eq(side.last)]
        m.d.sync += value.payload.value.eq(product << Cat(Const(0, 3), coarse))
        wiring.connect(m, accumulator.o, wiring.flipped(self.o))
        return m
