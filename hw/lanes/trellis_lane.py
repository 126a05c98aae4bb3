"""Trellis lane: it takes one row's blocks, of which the first is its head, and gives the row's exact sum and its scale.

    block --> decoder --> MAC array --> accumulator

Latency: :func:`trellis_lane_latency` cycles from the last block of a row to its sum. Rate: one block a cycle; the lane
never stalls.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring

from golden.spec import TrellisFormat
from hw.config import ConfigError, EngineConfig
from hw.lanes.accumulator import Accumulator
from hw.lanes.head import RowHead
from hw.lanes.mac import MacArray, mac_latency
from hw.lanes.trellis_decoder import TrellisDecoder, trellis_decoder_latency
from hw.parts.delay import delayed
from hw.payloads import lane_signature

__all__ = ["TrellisLane", "trellis_lane_latency"]


def _dot_latency(fmt: TrellisFormat, config: EngineConfig) -> int:
    """Cycles from a block in the input register to its dot product: decoder, products and their sum."""
    return trellis_decoder_latency(fmt, config) + mac_latency(config)


def trellis_lane_latency(config: EngineConfig) -> int:
    """Cycles from the last block of a row to its sum: input register, decoder, products and their sum, accumulator."""
    assert isinstance(config.fmt, TrellisFormat)
    return 1 + _dot_latency(config.fmt, config) + Accumulator.latency


class TrellisLane(wiring.Component):
    """Decodes, multiplies and accumulates the blocks of one row.

    Parameters
    ----------
    config : EngineConfig

    Its members are those of :func:`~hw.payloads.lane_signature`.

    Raises
    ------
    ConfigError
        When the weights are not of a trellis format.
    """

    def __init__(self, config: EngineConfig):
        if not isinstance(config.fmt, TrellisFormat):
            raise ConfigError(f"trellis lane: the weights must be of a trellis format, not {config.name}")
        self._config, self._fmt = config, config.fmt
        super().__init__(lane_signature(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, fmt, latency = self._config, self._fmt, _dot_latency(self._fmt, self._config)
        m.submodules.head = head = RowHead(config, latency)
        m.submodules.decoder = decoder = TrellisDecoder(fmt, config)
        m.submodules.mac = mac = MacArray(config)
        m.submodules.accumulator = accumulator = Accumulator(config)

        word, valid = Signal.like(self.i.payload, reset_less=True), Signal()
        m.d.sync += [word.eq(self.i.payload), valid.eq(self.i.valid)]
        x = delayed(m, word.activations.x, trellis_decoder_latency(fmt, config), "x", reset_less=True)
        m.d.comb += [
            self.i.ready.eq(1),
            head.valid.eq(valid),
            head.last.eq(word.activations.last),
            head.block.eq(word.block),
            decoder.valid.eq(valid),
            decoder.head.eq(head.first),
            decoder.block.eq(word.block),
            mac.numerators.eq(decoder.o),
            mac.x.eq(x),
        ]

        # The end of the row travels beside the multiplication. A head adds nothing to its row.
        side, value = Signal(data.StructLayout({"valid": 1, "last": 1})), accumulator.i
        m.d.comb += [side.valid.eq(valid & ~head.first), side.last.eq(word.activations.last)]
        side = delayed(m, side, latency, "side")
        m.d.comb += [
            value.valid.eq(side.valid),
            value.payload.last.eq(side.last),
            value.payload.value.eq(mac.dot),
            head.ends.eq(side.valid & side.last),
            self.o.valid.eq(accumulator.o.valid),
            self.o.payload.sum.eq(accumulator.o.payload),
            self.o.payload.scale.eq(head.scale),
        ]
        return m
