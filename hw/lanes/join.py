"""Join: pairs each word of blocks with its activations and hands a block to every lane.

The lanes never stall, so this is where they are held back: the last word of a group of rows waits until the sums of
the group before it have left the drain.

Latency :func:`join_latency` cycles, which are spent where most lanes are far from what says whether there is a word;
one word a cycle.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.parts.delay import delayed
from hw.payloads import activation_word, lane_word

__all__ = ["Join", "join_latency"]


def join_latency(config: EngineConfig) -> int:
    """Cycles from a word and its activations to the lanes."""
    return config.pipelining.join


class Join(wiring.Component):
    """Words and activations to lanes.

    Members
    -------
    blocks : In(stream of word_bits)
        The same block column of every lane, lane 0 in the lowest bits.
    activations : In(stream of activation_word)
    o : Out(array of lanes streams of lane_word)
    empty : In(1)
        Strobe: the sums of a group have left the drain.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "blocks": In(stream.Signature(config.word_bits)),
            "activations": In(stream.Signature(activation_word(config))),
            "o": Out(stream.Signature(lane_word(config))).array(config.lanes),
            "empty": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        # Set from the last word of a group until that group has been drained.
        occupied, go = Signal(), Signal()
        last = self.activations.payload.last
        hold = occupied & last
        m.d.comb += [
            go.eq(self.blocks.valid & self.activations.valid & ~hold),
            self.blocks.ready.eq(self.activations.valid & ~hold),
            self.activations.ready.eq(self.blocks.valid & ~hold),
        ]
        with m.If(self.empty):
            m.d.sync += occupied.eq(0)
        with m.Elif(go & last):
            m.d.sync += occupied.eq(1)
        hops = join_latency(self._config)
        valid = delayed(m, go, hops, "valid")
        blocks = delayed(m, self.blocks.payload, hops, "blocks", reset_less=True)
        activations = delayed(m, self.activations.payload, hops, "activations", reset_less=True)
        for i, lane in enumerate(self.o):
            m.d.comb += [
                lane.valid.eq(valid),
                lane.payload.block.eq(blocks.word_select(i, self._config.block_bits)),
                lane.payload.activations.eq(activations),
            ]
        return m
