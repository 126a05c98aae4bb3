"""Integer lane, the datapath of the controls int8, int4 and int3: it takes one row's blocks and gives that row's exact
sum.

    codes --> MAC array --> sum of a group --> times the scale's significand --> exponent shift --> accumulator

Each of the first 16 blocks of a group holds one bit of its scale, so that a group has at least as many blocks as a
scale has bits and takes at least as many cycles. Meanwhile two small units work on a group each that came before: one
multiplies by the scale's significand, one bit a cycle, and one shifts by the scale's exponent, two places a cycle.

Latency: :func:`integer_lane_latency` cycles from the last block of a row to its sum. Rate: one block a cycle; the lane
never stalls.
"""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring

from golden.spec import FP16_FRACTION, SCALE_BITS, GroupFormat
from hw.config import ConfigError, EngineConfig
from hw.lanes.accumulator import Accumulator
from hw.lanes.mac import MacArray, mac_latency
from hw.parts.delay import delayed
from hw.parts.fp16 import split_fp16
from hw.payloads import lane_signature

__all__ = ["IntegerLane", "integer_lane_interval", "integer_lane_latency"]

_SIGNIFICAND = FP16_FRACTION + 1
"""Bits of a scale's significand."""
_SHIFT_STEPS = 14
"""Shifts by two places for the greatest exponent field, 30, which stands for 29 places: the first shift is by one."""


def integer_lane_latency(config: EngineConfig) -> int:
    """Cycles from the last block of a row to its sum: input register, products and their sum, the group's sum, its
    product with the scale's significand bit by bit, the shift by its exponent step by step, accumulator."""
    return 1 + mac_latency(config) + 1 + (1 + _SIGNIFICAND) + (1 + _SHIFT_STEPS) + Accumulator.latency


def integer_lane_interval(config: EngineConfig) -> int:
    """Cycles at least from the last block of a group that shares a scale to that of the next: those in which the slower
    of the two small units works on a group."""
    return 1 + max(_SIGNIFICAND, _SHIFT_STEPS)


class IntegerLane(wiring.Component):
    """Multiplies and accumulates the blocks of one row.

    Parameters
    ----------
    config : EngineConfig

    Its members are those of :func:`~hw.payloads.lane_signature`.

    Raises
    ------
    ConfigError
        When the weights are not of an integer format.
    """

    def __init__(self, config: EngineConfig):
        if not isinstance(config.fmt, GroupFormat):
            raise ConfigError(f"integer lane: the weights must be of an integer format, not {config.name}")
        self._config, self._fmt = config, config.fmt
        super().__init__(lane_signature(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, fmt = self._config, self._fmt
        m.submodules.accumulator = accumulator = Accumulator(config)
        m.d.comb += self.i.ready.eq(1)

        m.submodules.mac = mac = MacArray(config)

        # Activations have no reset, so that lanes share their registers. The row's end and the scale travel beside the
        # multiplication.
        word = self.i.payload
        codes = Signal(data.ArrayLayout(signed(fmt.bits), fmt.c))
        side = Signal(data.StructLayout({"valid": 1, "last": 1, "scale_ends": 1, "scale_bit": 1}))
        m.d.sync += codes.eq(word.block)
        m.d.comb += [
            mac.x.eq(delayed(m, word.activations.x, 1, "x", reset_less=True)),
            *(mac.numerators[c].eq(codes[c]) for c in range(fmt.c)),
            side.valid.eq(self.i.valid),
            side.last.eq(word.activations.last),
            side.scale_ends.eq(word.activations.scale_ends),
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

    def _gather(self, m: Module, dot: Signal, side: data.View) -> data.View:
        """Sum and scale of a group, ``valid`` for one cycle, one cycle after the dot product of its last block."""
        group = Signal(data.StructLayout({
            "valid": 1, "last": 1, "value": signed(self._config.group_bits), "scale": SCALE_BITS,
        }), name="group")
        # `count` is the number of the group's blocks that have come, as far as they hold bits of its scale.
        count = Signal(range(SCALE_BITS + 1))
        first, whole = Signal(), Signal()
        m.d.comb += [first.eq(count == 0), whole.eq(count == SCALE_BITS)]
        m.d.sync += [
            group.valid.eq(side.valid & side.scale_ends),
            Assert(~(side.valid & side.last) | side.scale_ends),
            Assert(~(side.valid & side.scale_ends) | (count >= SCALE_BITS - 1)),
        ]
        with m.If(side.valid):
            m.d.sync += [group.value.eq(dot + Mux(first, 0, group.value)), group.last.eq(side.last)]
            with m.If(~whole):
                m.d.sync += [count.eq(count + 1), group.scale.eq(Cat(group.scale[1:], side.scale_bit))]
            with m.If(side.scale_ends):
                m.d.sync += count.eq(0)
        return group

    def _multiply(self, m: Module, group: data.View) -> data.View:
        """The group's value times its scale's significand, ``valid`` for one cycle.

        ``places`` is how far the scale's exponent shifts it. The multiplication takes one bit of the significand a
        cycle, from the lowest on, and subtracts where the scale is negative. The significand starts in the lower bits
        of the product, and as its bits are used up, those of the product that are final move down into their places.
        Latency ``1 + _SIGNIFICAND`` cycles.
        """
        width = self._config.group_bits
        product = Signal(data.StructLayout({
            "valid": 1, "last": 1, "value": signed(width + _SIGNIFICAND), "places": 5}), name="product")
        factor, remaining, total = Signal(signed(width)), Signal(range(_SIGNIFICAND + 1)), Signal(signed(width + 2))
        negative, bit, high = Signal(), product.value[0], product.value[_SIGNIFICAND:].as_signed()
        # -factor is ~factor + 1. A bit below the others carries the 1 in, so that one adder serves both signs.
        addend = (factor.as_unsigned() ^ negative.replicate(width)) & bit.replicate(width)
        m.d.comb += total.eq(Cat(1, high).as_signed() + Cat(bit & negative, addend).as_signed())
        m.d.sync += product.valid.eq(remaining == 1)
        with m.If(group.valid):
            sign, significand, field = split_fp16(group.scale)
            m.d.sync += [
                factor.eq(group.value),
                negative.eq(sign),
                product.value.eq(significand),
                product.places.eq(field - 1),
                product.last.eq(group.last),
                remaining.eq(_SIGNIFICAND),
                Assert(remaining == 0),
            ]
        with m.Elif(remaining != 0):
            m.d.sync += [product.value.eq(Cat(product.value[1:_SIGNIFICAND], total[1:])), remaining.eq(remaining - 1)]
        return product

    def _shift(self, m: Module, product: data.View) -> data.View:
        """The product shifted up by its places, ``valid`` for one cycle.

        An odd number of places takes a shift by one at first; then the product is shifted by two places a cycle.
        Latency ``1 + _SHIFT_STEPS`` cycles, whatever the number of places is.
        """
        value = Signal(data.StructLayout({
            "valid": 1, "last": 1, "value": signed(self._config.value_bits)}), name="value")
        pairs, remaining = Signal(4), Signal(range(_SHIFT_STEPS + 1))
        m.d.sync += value.valid.eq(remaining == 1)
        with m.If(product.valid):
            m.d.sync += [
                value.value.eq(Mux(product.places[0], product.value << 1, product.value)),
                pairs.eq(product.places[1:]),
                value.last.eq(product.last),
                remaining.eq(_SHIFT_STEPS),
                Assert(remaining == 0),
            ]
        with m.Elif(remaining != 0):
            m.d.sync += remaining.eq(remaining - 1)
            with m.If(pairs != 0):
                m.d.sync += [value.value.eq(value.value << 2), pairs.eq(pairs - 1)]
        return value
