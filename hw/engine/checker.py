"""Checker: tells whether the descriptor in the registers can be carried out as it stands.

The sizes of a descriptor say some things twice, so that they can be checked against each other::

    ACTIVATION_BEATS = ceil(BLOCKS * c * 16 / bus_bits)
    WEIGHT_BEATS     = ceil(ceil(ROWS / lanes) * BLOCKS * word_bits / bus_bits)

The checker compares without dividing: ``beats * bus_bits - bits`` has to be from 0 to ``bus_bits - 1``, with both sides
divided by what they have in common. Each region has to start at a multiple of a beat and to end within the addresses of
the engine.

Latency: :data:`CHECK_LATENCY` cycles from the registers to all that is reported but ``bad_weights``, which takes
:data:`WEIGHTS_CHECK_LATENCY` cycles. Rate: one descriptor a cycle.
"""

from math import gcd

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_alignment
from hw.payloads import ELEMENT_BITS
from hw.registers.register_map import DESCRIPTOR_REGISTERS

__all__ = ["CHECK_LATENCY", "WEIGHTS_CHECK_LATENCY", "Checker"]

CHECK_LATENCY = 2
"""Cycles from the registers to the findings: sums and products, and what they are compared with."""
WEIGHTS_CHECK_LATENCY = 4
"""Cycles from the registers to ``bad_weights``: groups of rows, words, parts of a beat, difference."""
_RESULT_BYTES = 4
"""Bytes of a result, a float32."""


def _above(value: Value, most: int) -> Value:
    """Whether an unsigned ``value`` is greater than ``most``."""
    bits = most.bit_length()
    return value[bits:].any() | (value[:bits] > most)


class Checker(wiring.Component):
    """Checks of a descriptor.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    next, next_hi, activation_addr, ... : In(32)
        The registers of the descriptor.
    start : In(1)
        Strobe: a run starts, and has no vector yet.
    begin : In(1)
        Strobe: the matrix in the registers is begun, so that the next one may share its vector.
    bad_address : Out(1)
        An address is not aligned, or a region does not end within the addresses of the engine. Regions without beats
        are not looked at.
    address : Out(64)
        The first address for which ``bad_address`` is 1: that of activations, weights, results or the next descriptor.
    bad_size : Out(1)
        ROWS, BLOCKS or FACTOR_EXPONENT is out of range.
    bad_activations : Out(1)
        ACTIVATION_BEATS does not fit BLOCKS.
    bad_weights : Out(1)
        WEIGHT_BEATS does not fit ROWS and BLOCKS.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            **{name.lower(): In(32) for name in DESCRIPTOR_REGISTERS}, "start": In(1), "begin": In(1),
            "bad_address": Out(1), "address": Out(64), "bad_size": Out(1), "bad_activations": Out(1),
            "bad_weights": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._check_addresses(m)
        self._check_sizes(m)
        self._check_activations(m)
        self._check_weights(m)
        return m

    def _check_addresses(self, m: Module) -> None:
        """Alignment and extents. Beats count in units of what they are aligned to, so that no sum has idle bits."""
        config = self._config
        bus = exact_log2(config.bus_bytes)
        checks = (
            ("activation", self.activation_addr, self.activation_addr_hi, bus, self.activation_beats, bus),
            ("weight", self.weight_addr, self.weight_addr_hi, bus, self.weight_beats, bus),
            ("result", self.result_addr, self.result_addr_hi, bus, self.rows, exact_log2(_RESULT_BYTES)),
            # A descriptor is aligned to its length, so that it ends where it has to if it starts there.
            ("next", self.next, self.next_hi, exact_log2(descriptor_alignment(config)), None, 0),
        )
        found, bad = Signal(64), Signal(len(checks))
        for n, (name, low, high, aligned, length, unit) in reversed(list(enumerate(checks))):
            addr = Cat(low, high)
            outside, exceeds, used = (Signal(name=f"{name}_{what}") for what in ("outside", "exceeds", "used"))
            m.d.sync += outside.eq(addr[:aligned].any() | addr[config.addr_bits:].any())
            m.d.comb += used.eq(1)
            if length is not None:
                room = config.addr_bits - unit
                end = Signal(max(room, len(length)) + 1, name=f"{name}_end")
                m.d.sync += end.eq(addr[unit:config.addr_bits] + length)
                m.d.comb += [exceeds.eq(_above(end, 1 << room)), used.eq(length != 0)]
            m.d.comb += bad[n].eq(used & (outside | exceeds))
            with m.If(bad[n]):
                m.d.comb += found.eq(addr)
        m.d.sync += [self.bad_address.eq(bad.any()), self.address.eq(found)]

    def _check_sizes(self, m: Module) -> None:
        """Ranges of what no other word depends on."""
        config, together = self._config, self._config.fmt.group_blocks
        rows, blocks, factor = self.rows, self.blocks, self.factor_exponent
        wrong = Signal(3)
        m.d.sync += [
            wrong.eq(Cat((rows == 0) | _above(rows, config.max_rows),
                         (blocks == 0) | _above(blocks, config.max_blocks) | blocks[:exact_log2(together)].any(),
                         (factor == 0) | _above(factor, 254))),
            self.bad_size.eq(wrong.any()),
        ]

    def _fits(self, m: Module, name: str, beats: Value, units: Value, unit_bits: int) -> Value:
        """Whether ``units`` of ``unit_bits`` each take ``beats``. The multiple of ``units`` is a register."""
        common = gcd(unit_bits, self._config.bus_bits)
        each, beat = unit_bits // common, self._config.bus_bits // common
        parts = Signal((((1 << len(units)) - 1) * each).bit_length(), name=f"{name}_parts")
        m.d.sync += parts.eq(sum(units << i for i in range(each.bit_length()) if each >> i & 1))
        padding = Signal(max(len(parts), len(beats) + exact_log2(beat)) + 1, name=f"{name}_padding")
        m.d.comb += padding.eq((beats << exact_log2(beat)) - parts)
        return ~padding[exact_log2(beat):].any()

    def _check_activations(self, m: Module) -> None:
        """A vector of ``blocks * c`` elements, or one that is shared with the matrix before."""
        blocks = self.blocks[:len(Signal(range(self._config.max_blocks + 1)))]
        # The blocks of the vector that the matrix may share: 0, which no matrix has, while there is none.
        shared = Signal.like(blocks)
        with m.If(self.start):
            m.d.sync += shared.eq(0)
        with m.Elif(self.begin):
            m.d.sync += shared.eq(blocks)
        fits = self._fits(m, "activation", self.activation_beats, blocks, self._config.c * ELEMENT_BITS)
        m.d.sync += self.bad_activations.eq(~Mux(self.activation_beats == 0, shared == blocks, fits))

    def _check_weights(self, m: Module) -> None:
        """``ceil(rows / lanes) * blocks`` words."""
        config = self._config
        lanes = exact_log2(config.lanes)
        rows = self.rows[:len(Signal(range(config.max_rows + 1)))]
        groups = Signal(range(-(-config.max_rows // config.lanes) + 1))
        blocks = Signal(range(config.max_blocks + 1))
        words = Signal(len(groups) + len(blocks))
        m.d.sync += [
            groups.eq((rows + config.lanes - 1) >> lanes),
            blocks.eq(self.blocks),
            words.eq(groups * blocks),
            self.bad_weights.eq(~self._fits(m, "weight", self.weight_beats, words, config.word_bits)),
        ]
