"""Checker: tells whether the descriptor in the registers can be carried out as it stands.

The sizes of a descriptor say some things twice, so that they can be checked against each other::

    ACTIVATION_BEATS = ceil((BLOCKS - head_blocks) * c * 16 / bus_bits)
    WEIGHT_BEATS     = ceil(ceil(ROWS / lanes) * BLOCKS * word_bits / bus_bits)

The checker compares without dividing: ``beats * bus_bits - bits`` has to be from 0 to ``bus_bits - 1``, with both sides
divided by what they have in common. Each region has to start at a multiple of a beat and to end within the addresses of
the engine.

The four addresses are looked at in turn, in the order in which the sequencer needs them: activations, next descriptor,
weights, results.

Latency: ``checked`` rises :data:`CHECK_LATENCY` cycles after a descriptor is in the registers. By then the sizes and
the activations have been found right or wrong; each of the other findings comes a cycle later than the one before, and
not later than the sequencer can request what it is about. Rate: one descriptor in 6 cycles.
"""

from math import gcd

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_alignment
from hw.payloads import ELEMENT_BITS
from hw.registers.register_map import ADDRESSES, DESCRIPTOR_REGISTERS

__all__ = ["CHECK_LATENCY", "Checker"]

CHECK_LATENCY = 2
"""Cycles from the registers to the first findings: sums and products, and what they are compared with."""
_WEIGHTS_STEP = 3
"""The step, counted from the one in which the descriptor is in the registers, whose sums ``bad_weights`` follows from:
groups of rows, words, parts of a beat, difference."""
_ORDER = ("ACTIVATION_ADDR", "NEXT", "WEIGHT_ADDR", "RESULT_ADDR")
"""Addresses in the order in which they are checked."""
_RESULT_BYTES = 4
"""Bytes of a result, a float32."""


def _above(value: Value, most: int) -> Value:
    """Whether an unsigned ``value`` is greater than ``most``. For powers of two this takes no carry chain."""
    bits = most.bit_length()
    more = value[:bits] > most if most & (most - 1) else value[bits - 1] & value[:bits - 1].any()
    return value[bits:].any() | more


class Checker(wiring.Component):
    """Checks of a descriptor.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    next, next_hi, activation_addr, ... : In(32)
        The registers of the descriptor.
    excess : In(bits)
        For each of :data:`~hw.registers.register_map.ADDRESSES`, whether it has bits beyond ``addr_bits``.
    start : In(1)
        The next matrix to begin is the first of a run, so that there is no vector yet.
    load : In(1)
        A descriptor may be in the registers from the next cycle on. What has been found is forgotten.
    begin : In(1)
        Strobe: the matrix in the registers is begun, so that the next one may share its vector.
    checked : Out(1)
        The first findings are there.
    refused : Out(1)
        Something has been found wrong.
    bad_address : Out(1)
        An address is not aligned, or a region does not end within the addresses of the engine. Regions without beats
        are not looked at.
    address : Out(addr_bits)
        The first address for which ``bad_address`` is 1, without the bits that the engine's addresses do not have.
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
            **{name.lower(): In(32) for name in DESCRIPTOR_REGISTERS},
            "excess": In(len(ADDRESSES)), "start": In(1), "load": In(1), "begin": In(1),
            "checked": Out(1), "refused": Out(1),
            "bad_address": Out(1), "address": Out(config.addr_bits), "bad_size": Out(1), "bad_activations": Out(1),
            "bad_weights": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Cycles in which the descriptor has been in the registers, as far as they matter.
        end = len(_ORDER) + 1
        step = Signal(range(end + 1), init=end)
        findings = (self.bad_address, self.bad_size, self.bad_activations, self.bad_weights)
        m.d.sync += step.eq(step + (step != end))
        with m.If(step == CHECK_LATENCY - 1):
            m.d.sync += self.checked.eq(1)
        m.d.comb += self.refused.eq(Cat(findings).any())
        self._check_addresses(m, step)
        for finding, at, wrong in ((self.bad_size, 1, self._check_sizes(m)),
                                   (self.bad_activations, 1, self._check_activations(m)),
                                   (self.bad_weights, _WEIGHTS_STEP, self._check_weights(m))):
            with m.If(step == at):
                m.d.sync += finding.eq(wrong)
        with m.If(self.load):
            m.d.sync += [step.eq(0), self.checked.eq(0), *(finding.eq(0) for finding in findings)]
        return m

    def _check_addresses(self, m: Module, step: Signal) -> None:
        """Alignment and extents, of one address in each step. A descriptor is aligned to its length, so that it ends
        where it has to if it starts there."""
        config, bits = self._config, self._config.addr_bits
        addresses = Array(Cat(getattr(self, name.lower()), getattr(self, f"{name.lower()}_hi"))[:bits]
                          for name in _ORDER)
        excess = Array(self.excess[ADDRESSES.index(name)] for name in _ORDER)
        lengths = Array((self.activation_beats << exact_log2(config.bus_bytes), descriptor_alignment(config),
                         self.weight_beats << exact_log2(config.bus_bytes), self.rows << exact_log2(_RESULT_BYTES)))
        number = step[:exact_log2(len(_ORDER))]
        addr, length, beyond, used = Signal(bits), Signal(32 + exact_log2(config.bus_bytes)), Signal(), Signal()
        unit = exact_log2(_RESULT_BYTES)
        end = Signal(max(bits, len(length)) - unit + 1)
        m.d.comb += [addr.eq(addresses[number]), length.eq(lengths[number])]
        m.d.sync += [
            end.eq(addr[unit:] + length[unit:]),
            beyond.eq(excess[number] | addr[:exact_log2(config.bus_bytes)].any()
                      | ((number == _ORDER.index("NEXT"))
                         & addr[:exact_log2(descriptor_alignment(config))].any())),
            used.eq(length != 0),
        ]
        latest = Signal(bits)
        m.d.sync += latest.eq(addr)
        wrong = used & (beyond | _above(end, 1 << bits - unit)) & (step != 0) & (step <= len(_ORDER))
        with m.If(wrong & ~self.bad_address):
            m.d.sync += [self.bad_address.eq(1), self.address.eq(latest)]

    def _check_sizes(self, m: Module) -> Value:
        """Whether what no other word depends on is out of its range. The value is that of the cycle before."""
        config, least = self._config, self._config.least_blocks
        rows, blocks, factor = self.rows, self.blocks, self.factor_exponent
        wrong = Signal(3)
        m.d.sync += wrong.eq(Cat(
            (rows == 0) | _above(rows, config.max_rows),
            ~blocks[exact_log2(least):].any() | _above(blocks, config.max_blocks),
            (factor == 0) | factor[:8].all() | factor[8:].any()))
        return wrong.any()

    def _fits(self, m: Module, name: str, beats: Value, units: Value, unit_bits: int) -> Value:
        """Whether ``units`` of ``unit_bits`` each take ``beats``. The multiple of ``units`` is in a register, and so
        are the beats, because the register file is far away; of those that are beyond all multiples, it is only known
        that they are."""
        common = gcd(unit_bits, self._config.bus_bits)
        each, beat = unit_bits // common, exact_log2(self._config.bus_bits // common)
        parts = Signal((((1 << len(units)) - 1) * each).bit_length(), name=f"{name}_parts")
        held = Signal(min(max(len(parts) - beat, 0) + 1, len(beats)), name=f"{name}_held")
        beyond = Signal(name=f"{name}_beyond")
        m.d.sync += [parts.eq(sum(units << i for i in range(each.bit_length()) if each >> i & 1)),
                     held.eq(beats), beyond.eq(beats[len(held):].any())]
        padding = Signal(max(len(parts), len(held) + beat) + 1, name=f"{name}_padding")
        m.d.comb += padding.eq((held << beat) - parts)
        return ~(padding[beat:].any() | beyond)

    def _check_activations(self, m: Module) -> Value:
        """Whether there is neither a vector for the blocks that hold weights, nor one to share with the matrix
        before."""
        blocks = self.blocks[:len(Signal(range(self._config.max_blocks + 1)))]
        # The blocks of the vector that the matrix may share: 0, which no matrix has, while there is none.
        shared = Signal.like(blocks)
        with m.If(self.start):
            m.d.sync += shared.eq(0)
        with m.Elif(self.begin):
            m.d.sync += shared.eq(blocks)
        weight_blocks = Signal.like(blocks)
        m.d.comb += weight_blocks.eq(blocks - self._config.fmt.head_blocks)
        fits = self._fits(m, "activation", self.activation_beats, weight_blocks, self._config.c * ELEMENT_BITS)
        none, same = Signal(), Signal()
        m.d.sync += [none.eq(self.activation_beats == 0), same.eq(shared == blocks)]
        return ~Mux(none, same, fits)

    def _check_weights(self, m: Module) -> Value:
        """Whether the beats are not those of ``ceil(rows / lanes) * blocks`` words."""
        config = self._config
        lanes = exact_log2(config.lanes)
        rows = self.rows[:len(Signal(range(config.max_rows + 1)))]
        groups = Signal(range(-(-config.max_rows // config.lanes) + 1))
        blocks = Signal(range(config.max_blocks + 1))
        # DSPs are for weights.
        product = Signal(len(groups) + len(blocks), attrs={"use_dsp": "no"})
        words = Signal(len(product))
        m.d.comb += product.eq(groups * blocks)
        m.d.sync += [
            groups.eq((rows + config.lanes - 1) >> lanes),
            blocks.eq(self.blocks),
            words.eq(product),
        ]
        return ~self._fits(m, "weight", self.weight_beats, words, config.word_bits)
