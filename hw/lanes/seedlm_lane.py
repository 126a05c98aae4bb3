"""SeedLM lane: it takes one row's blocks and gives that row's exact sum.

    block --> LFSR bank --> numerators --> MAC array --> exponent shift --> accumulator

Latency: :func:`seedlm_lane_latency` cycles from the last block of a row to its sum. Rate: one block a cycle; the lane
never stalls.
"""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring

from golden.spec import EXP_BITS, BlockFormat
from hw.config import ConfigError, EngineConfig
from hw.lanes.accumulator import Accumulator
from hw.lanes.lfsr_bank import LfsrBank
from hw.lanes.mac import MacArray, mac_latency
from hw.lanes.numerators import Numerators, numerators_latency
from hw.parts.delay import delayed
from hw.payloads import lane_signature

__all__ = ["SeedlmLane", "seedlm_lane_latency"]


def seedlm_lane_latency(config: EngineConfig) -> int:
    """Cycles from the last block of a row to its sum: input register, numerators, products and their sum, two steps of
    the exponent's shift, accumulator."""
    return 1 + numerators_latency(config) + mac_latency(config) + 2 + Accumulator.latency


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
        seed, exponent = (word.block[low:low + width] for low, width in (fmt.fields["seed"], fmt.fields["exponent"]))
        m.d.comb += [
            self.i.ready.eq(1),
            lfsr_bank.seed.eq(seed),
            numerators.window.eq(lfsr_bank.window),
            numerators.q.eq(word.block[fmt.fields["q0"][0]:]),
            mac.numerators.eq(numerators.o),
        ]
        m.d.comb += mac.x.eq(delayed(m, word.activations.x, numerators_latency(config), "x", reset_less=True))

        # The exponent and the row's end travel beside the multiplication. Exponent e shifts by e + 8 places, and that
        # is e with its sign bit inverted.
        side = Signal(data.StructLayout({"valid": 1, "last": 1, "shift": EXP_BITS}))
        m.d.comb += [
            side.valid.eq(valid),
            side.last.eq(word.activations.last),
            side.shift.eq(exponent ^ (1 << (EXP_BITS - 1))),
        ]
        side = delayed(m, side, numerators_latency(config) + mac_latency(config), "side")
        coarse = mac.dot << Cat(Const(0, EXP_BITS // 2), side.shift[EXP_BITS // 2:])
        shifted, value = Signal(coarse.shape()), accumulator.i
        side = delayed(m, side, 1, "shifted")
        m.d.sync += [
            shifted.eq(coarse),
            value.valid.eq(side.valid),
            value.payload.last.eq(side.last),
            value.payload.value.eq(shifted << side.shift[:EXP_BITS // 2]),
        ]
        wiring.connect(m, accumulator.o, wiring.flipped(self.o))
        return m
