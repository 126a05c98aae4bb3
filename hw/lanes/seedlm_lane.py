"""SeedLM lane: it takes one row's blocks and gives that row's exact sum.

    block --> LFSR bank --> numerators --> MAC array --> exponent shift --> accumulator

In a format whose rows have scales in the place of exponents, nothing is shifted, and the heads of the rows do not count
in their sums.

Latency: :func:`seedlm_lane_latency` cycles from the last block of a row to its sum. Rate: one block a cycle; the lane
never stalls.
"""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring

from golden.spec import BlockFormat
from hw.config import ConfigError, EngineConfig
from hw.lanes.accumulator import Accumulator
from hw.lanes.head import RowHead
from hw.lanes.lfsr_bank import LfsrBank
from hw.lanes.mac import MacArray, mac_latency
from hw.lanes.numerators import Numerators, numerators_latency
from hw.parts.delay import delayed
from hw.payloads import lane_signature

__all__ = ["SeedlmLane", "seedlm_lane_latency"]


def seedlm_lane_latency(config: EngineConfig) -> int:
    """Cycles from the last block of a row to its sum: input register, numerators, products and their sum, two steps of
    the exponent's shift where there are exponents, accumulator."""
    return 1 + _value_latency(config) + Accumulator.latency


def _value_latency(config: EngineConfig) -> int:
    """Cycles from a block in the input register to its value at the accumulator."""
    shift = 0 if config.fmt.head_blocks else 2
    return numerators_latency(config) + mac_latency(config) + shift


class SeedlmLane(wiring.Component):
    """Decodes, multiplies and accumulates the blocks of one row.

    Parameters
    ----------
    config : EngineConfig

    Its members are those of :func:`~hw.payloads.lane_signature`.

    Raises
    ------
    ConfigError
        When the weights are not of a SeedLM format.
    """

    def __init__(self, config: EngineConfig):
        if not isinstance(config.fmt, BlockFormat):
            raise ConfigError(f"SeedLM lane: the weights must be of a SeedLM format, not {config.name}")
        self._config, self._fmt = config, config.fmt
        super().__init__(lane_signature(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, fmt = self._config, self._fmt
        m.submodules.lfsr_bank = lfsr_bank = LfsrBank(fmt)
        m.submodules.numerators = numerators = Numerators(fmt, config)
        m.submodules.mac = mac = MacArray(config)
        m.submodules.accumulator = accumulator = Accumulator(config)

        word, valid = Signal.like(self.i.payload, reset_less=True), Signal()
        m.d.sync += [word.eq(self.i.payload), valid.eq(self.i.valid)]
        seed, width = fmt.fields["seed"]
        m.d.comb += [
            self.i.ready.eq(1),
            lfsr_bank.seed.eq(word.block[seed:seed + width]),
            numerators.window.eq(lfsr_bank.window),
            numerators.q.eq(word.block[fmt.fields["q0"][0]:]),
            mac.numerators.eq(numerators.o),
        ]
        m.d.comb += mac.x.eq(delayed(m, word.activations.x, numerators_latency(config), "x", reset_less=True))
        value = self._shifted if fmt.exp_bits else self._behind_head
        value(m, word, valid, mac.dot, accumulator)
        m.d.comb += [self.o.valid.eq(accumulator.o.valid), self.o.payload.sum.eq(accumulator.o.payload)]
        return m

    def _shifted(self, m: Module, word: data.View, valid: Signal, dot: Signal, accumulator: Accumulator) -> None:
        """Add the dot products, each shifted by its block's exponent.

        The exponent and the row's end travel beside the multiplication. Exponent e shifts by e + 8 places, and that is
        e with its sign bit inverted.
        """
        low, width = self._fmt.fields["exponent"]
        side = Signal(data.StructLayout({"valid": 1, "last": 1, "shift": width}))
        m.d.comb += [
            side.valid.eq(valid),
            side.last.eq(word.activations.last),
            side.shift.eq(word.block[low:low + width] ^ (1 << (width - 1))),
        ]
        side = delayed(m, side, _value_latency(self._config) - 2, "side")
        coarse = dot << Cat(Const(0, width // 2), side.shift[width // 2:])
        shifted, value = Signal(coarse.shape()), accumulator.i
        side = delayed(m, side, 1, "shifted")
        m.d.sync += [
            shifted.eq(coarse),
            value.valid.eq(side.valid),
            value.payload.last.eq(side.last),
            value.payload.value.eq(shifted << side.shift[:width // 2]),
        ]

    def _behind_head(self, m: Module, word: data.View, valid: Signal, dot: Signal, accumulator: Accumulator) -> None:
        """Add the dot products of all blocks of a row but its head, and give its scale beside its sum."""
        latency = _value_latency(self._config)
        m.submodules.head = head = RowHead(self._config, latency)
        side, value = Signal(data.StructLayout({"valid": 1, "last": 1})), accumulator.i
        m.d.comb += [
            head.valid.eq(valid),
            head.last.eq(word.activations.last),
            head.block.eq(word.block),
            side.valid.eq(valid & ~head.first),
            side.last.eq(word.activations.last),
        ]
        side = delayed(m, side, latency, "side")
        m.d.comb += [
            value.valid.eq(side.valid),
            value.payload.last.eq(side.last),
            value.payload.value.eq(dot),
            head.ends.eq(side.valid & side.last),
            self.o.payload.scale.eq(head.scale),
        ]
