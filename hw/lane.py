"""SeedLM lane: one row's blocks in, that row's exact sum out.

    block --> LFSR bank --> MAC array --> exponent shift --> accumulator

Latency 7 cycles from the last block of a row to its sum, one block a cycle; never stalls.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring

from golden.spec import EXP_BITS
from hw.accumulator import Accumulator, lane_signature
from hw.config import EngineConfig
from hw.lfsr_bank import LfsrBank
from hw.mac import MacArray

__all__ = ["SeedlmLane"]


class SeedlmLane(wiring.Component):
    """Decode, multiply and accumulate the blocks of one row. Members: :func:`~hw.accumulator.lane_signature`."""

    latency = MacArray.latency + 3

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(lane_signature(config))

    def elaborate(self, platform):
        m = Module()
        config, fmt = self._config, self._config.fmt
        m.submodules.lfsr_bank = lfsr_bank = LfsrBank(fmt)
        m.submodules.mac = mac = MacArray(config)
        m.submodules.accumulator = accumulator = Accumulator(config)

        word = self.i.payload
        low, width = fmt.fields["seed"]
        coefs_low = fmt.fields["q0"][0]
        activations = word.activations
        m.d.comb += [self.i.ready.eq(1), lfsr_bank.seed.eq(word.block[low:low + width])]
        m.d.sync += [
            mac.window.eq(lfsr_bank.window),
            mac.q.eq(word.block[coefs_low:]),
            mac.x.eq(activations.x),
            mac.total.eq(activations.total),
        ]

        # The exponent and the row's limits travel beside the multiplication.
        side_layout = data.StructLayout({"valid": 1, "first": 1, "last": 1, "exponent": EXP_BITS})
        low, width = fmt.fields["exponent"]
        side = Signal(side_layout)
        m.d.sync += [
            side.valid.eq(self.i.valid),
            side.first.eq(activations.first),
            side.last.eq(activations.last),
            side.exponent.eq(word.block[low:low + width]),
        ]
        for i in range(MacArray.latency):
            later = Signal(side_layout, name=f"side_{i + 1}")
            m.d.sync += later.eq(side)
            side = later

        # Exponent e weighs 2**e; the shift e + 8 is e with its sign bit turned round.
        value = accumulator.i
        m.d.sync += [
            value.valid.eq(side.valid),
            value.payload.first.eq(side.first),
            value.payload.last.eq(side.last),
            value.payload.value.eq(mac.dot << (side.exponent ^ (1 << (EXP_BITS - 1)))),
        ]
        wiring.connect(m, accumulator.o, wiring.flipped(self.o))
        return m
