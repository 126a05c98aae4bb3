"""Int4 lane, the control's datapath: one row's blocks in, that row's exact sum out.

    codes --> MAC array --> sum of a group --> times the scale's significand --> exponent shift --> accumulator

A group's scale comes one bit with each of its blocks. A group takes as many cycles as a scale has bits, or more, so
that the product with the scale's significand can take one bit a cycle and the shift by its exponent two places a cycle,
in two units that work on one group each.

Latency :func:`int4_lane_latency` cycles from the last block of a row to its sum. One block a cycle; never stalls.
"""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring

from golden.spec import FP16_FRACTION, SCALE_BITS
from hw.config import EngineConfig
from hw.lanes.accumulator import Accumulator
from hw.lanes.mac import MacArray, mac_latency
from hw.parts.delay import delayed
from hw.parts.fp16 import split_fp16
from hw.payloads import lane_signature

__all__ = ["Int4Lane", "int4_lane_latency"]

_SIGNIFICAND = FP16_FRACTION + 1
_SHIFT_STEPS = 14
"""Shifts by two places that the greatest exponent field, 30, needs after a first one by 1."""


def int4_lane_latency(config: EngineConfig) -> int:
    """Cycles from the last block of a row to its sum: input register, products and their sum, the group's sum, its
    product with the scale's significand bit by bit, the shift by its exponent step by step, accumulator."""
    return 1 + mac_latency(config) + 1 + (1 + _SIGNIFICAND) + (1 + _SHIFT_STEPS) + Accumulator.latency


class Int4Lane(wiring.Component):
    """Multiply and accumulate the blocks of one row. Members: :func:`~hw.payloads.lane_signature`."""

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(lane_signature(config))

    def elaborate(self, platform):
        m = Module()
        config, fmt = self._config, self._config.fmt
        m.submodules.accumulator = accumulator = Accumulator(config)
        m.d.comb += self.i.ready.eq(1)

        m.submodules.mac = mac = MacArray(config)

        # Activations as in the SeedLM lane; the row's end and the scale travel beside the multiplication.
        word = self.i.payload
        codes = Signal(data.ArrayLayout(signed(fmt.bits), fmt.c))
        side = Signal(data.StructLayout({"valid": 1, "last": 1, "scale_bit": 1}))
        m.d.sync += codes.eq(word.block)
        m.d.comb += [
            mac.x.eq(delayed(m, word.activations.x, 1, "x", reset_less=True)),
            *(mac.numerators[c].eq(codes[c]) for c in range(fmt.c)),
            side.valid.eq(self.i.valid),
            side.last.eq(word.activations.last),
            side.scale_bit.eq(word.block[-1]),
        ]
        side = delayed(m, side, 1 + mac_latency(config), "side")

        group = self._gather(m, mac.dot, side)
        product = self._multiply(m, group)
        value = self._shift(m, product)
        m.d.comb += [
            accumulator.i.valid.eq(value.valid),
            accumulator.i.payload.last.eq(value.last),
            accumulator.i.payload.value.eq(value.value),
        ]
        wiring.connect(m, accumulator.o, wiring.flipped(self.o))
        return m

    def _gather(self, m, dot, side):
        """Sum and scale of a group, ``valid`` for one cycle."""
        group = Signal(data.StructLayout({
            "valid": 1, "last": 1, "value": signed(self._config.group_bits), "scale": SCALE_BITS,
        }), name="group")
        count = Signal(range(SCALE_BITS))
        opens, closes = Signal(), Signal()
        m.d.comb += [opens.eq(count == 0), closes.eq(count == SCALE_BITS - 1)]
        m.d.sync += [group.valid.eq(side.valid & closes), Assert(~(side.valid & side.last) | closes)]
        with m.If(side.valid):
            m.d.sync += [
                count.eq(count + 1),
                group.value.eq(dot + Mux(opens, 0, group.value)),
                group.scale.eq(Cat(group.scale[1:], side.scale_bit)),
                group.last.eq(side.last),
            ]
        return group

    def _multiply(self, m, group):
        """The group's value times its scale's significand, one bit a cycle from the lowest on: what is final of the
        product moves down in place of the bits that are done with. ``valid`` for one cycle; ``places`` is how far the
        exponent shifts it."""
        width = self._config.group_bits
        product = Signal(data.StructLayout({
            "valid": 1, "last": 1, "value": signed(width + _SIGNIFICAND), "places": 5}), name="product")
        factor, left, partial = Signal(signed(width)), Signal(range(_SIGNIFICAND + 1)), Signal(signed(width + 1))
        high = product.value[_SIGNIFICAND:].as_signed()
        m.d.comb += partial.eq(high + Mux(product.value[0], factor, 0))
        m.d.sync += product.valid.eq(left == 1)
        with m.If(group.valid):
            _, significand, field = split_fp16(group.scale)
            m.d.sync += [
                factor.eq(group.value),
                product.value.eq(significand),
                product.places.eq(field - 1),
                product.last.eq(group.last),
                left.eq(_SIGNIFICAND),
                Assert(left == 0),
            ]
        with m.Elif(left != 0):
            m.d.sync += [product.value.eq(Cat(product.value[1:_SIGNIFICAND], partial)), left.eq(left - 1)]
        return product

    def _shift(self, m, product):
        """The product shifted up by its places: one at first if they are odd, then two a cycle. ``valid`` for one
        cycle, after as many cycles whatever the places."""
        value = Signal(data.StructLayout({
            "valid": 1, "last": 1, "value": signed(self._config.value_bits)}), name="value")
        places, left = Signal(4), Signal(range(_SHIFT_STEPS + 1))
        m.d.sync += value.valid.eq(left == 1)
        with m.If(product.valid):
            m.d.sync += [
                value.value.eq(Mux(product.places[0], product.value << 1, product.value)),
                places.eq(product.places[1:]),
                value.last.eq(product.last),
                left.eq(_SHIFT_STEPS),
                Assert(left == 0),
            ]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            with m.If(places != 0):
                m.d.sync += [value.value.eq(value.value << 2), places.eq(places - 1)]
        return value
