"""Join: pairs each word of blocks with its activations and hands a block to every lane.

The lanes never stall, so the join holds words back in their place: the last word of a group of rows waits until the
sums of the group before it have been drained.

Latency: :func:`join_latency` cycles from a word and its activations to the lanes. These are registers on the wires from
the join to lanes all over the device. Rate: one word a cycle.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.parts.delay import delayed
from hw.payloads import activation_word, lane_word

__all__ = ["Join", "join_latency"]


def join_latency(config: EngineConfig) -> int:
    """Cycles from a word and its activations to the lanes: registers of ``config.pipelining.join``."""
    return config.pipelining.join


class Join(wiring.Component):
    """Hands words and activations to the lanes.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    blocks : In(stream of word_bits)
        The same block column of every lane, lane 0 in the lowest bits.
    activations : In(stream of activation_word)
        The activations of that block column.
    o : Out(array of lanes streams of lane_word)
        All are ``valid`` in the same cycles, whatever their ``ready`` is.
    drained : In(1)
        Strobe: the sums of a group have left the drain.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "blocks": In(stream.Signature(config.word_bits)),
            "activations": In(stream.Signature(activation_word(config))),
            "o": Out(stream.Signature(lane_word(config))).array(config.lanes),
            "drained": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The sums of a group are outstanding from its last word until they have been drained.
        outstanding, accepted = Signal(), Signal()
        last = self.activations.payload.last
        blocked = outstanding & last
        m.d.comb += [
            accepted.eq(self.blocks.valid & self.activations.valid & ~blocked),
            self.blocks.ready.eq(self.activations.valid & ~blocked),
            self.activations.ready.eq(self.blocks.valid & ~blocked),
        ]
        with m.If(self.drained):
            m.d.sync += outstanding.eq(0)
        with m.Elif(accepted & last):
            m.d.sync += outstanding.eq(1)
        hops = join_latency(self._config)
        valid = delayed(m, accepted, hops, "valid")
        blocks = delayed(m, self.blocks.payload, hops, "blocks", reset_less=True)
        activations = delayed(m, self.activations.payload, hops, "activations", reset_less=True)
        for i, lane in enumerate(self.o):
            m.d.comb += [
                lane.valid.eq(valid),
                lane.payload.block.eq(blocks.word_select(i, self._config.block_bits)),
                lane.payload.activations.eq(activations),
            ]
        return m
