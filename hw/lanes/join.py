"""Join: pairs each word of blocks with its activations and hands a block to every lane.

The lanes never stall, so the join holds words back in their place. The last word of a group of rows waits for the
groups before it:

- With one result a cycle, until the sums of the group before have been drained.
- With more, until there is room for the group's results, wherever the groups before are on their way, and until the
  lanes and the drain have had :func:`join_interval` cycles for the sums of the group before.

Latency: :func:`join_latency` cycles from a word and its activations to the lanes. These are registers on the wires from
the join to lanes all over the device. Rate: one word a cycle.
"""

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.config import EngineConfig
from hw.lanes.lanes import lane_interval
from hw.parts.delay import delayed
from hw.payloads import activation_word, lane_word

__all__ = ["RETURN_LATENCY", "Join", "join_interval", "join_latency"]


RETURN_LATENCY = 2
"""Cycles from the strobe of a group's room to the first in which the last word of a group may take it."""


def join_latency(config: EngineConfig) -> int:
    """Cycles from a word and its activations to the lanes: registers of ``config.pipelining.join``."""
    return config.pipelining.join


def join_interval(config: EngineConfig) -> int:
    """Cycles at least, with more than one result a cycle, from the last word of a group of rows to that of the next.

    They are those that the lanes need, or the drain. With one result a cycle the join waits for the drain instead."""
    return max(lane_interval(config), config.drain_cycles)


class Join(wiring.Component):
    """Hands words and activations to the lanes.

    Parameters
    ----------
    config : EngineConfig
    groups : int
        Groups for whose results there is room; 1 with one result a cycle.

    Members
    -------
    blocks : In(stream of word_bits)
        The same block column of every lane, lane 0 in the lowest bits.
    activations : In(stream of activation_word)
        The activations of that block column.
    o : Out(array of lanes streams of lane_word)
        All are ``valid`` in the same cycles, whatever their ``ready`` is.
    drained : In(1)
        Strobe: the sums of a group have left the drain; with more than one result a cycle, its results have left the
        queue, where there is now room for another group.
    """

    def __init__(self, config: EngineConfig, groups: int = 1):
        self._config, self._groups = config, groups
        super().__init__({
            "blocks": In(stream.Signature(config.word_bits)),
            "activations": In(stream.Signature(activation_word(config))),
            "o": Out(stream.Signature(lane_word(config))).array(config.lanes),
            "drained": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # `held`: a group may not end, because of those before it.
        held, accepted = Signal(), Signal()
        last = self.activations.payload.last
        blocked = held & last
        m.d.comb += [
            accepted.eq(self.blocks.valid & self.activations.valid & ~blocked),
            self.blocks.ready.eq(self.activations.valid & ~blocked),
            self.activations.ready.eq(self.blocks.valid & ~blocked),
        ]
        hold = self._hold_until_drained if self._config.results_per_cycle == 1 else self._pace
        hold(m, held, accepted & last)
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

    def _hold_until_drained(self, m: Module, held: Signal, ends: Value) -> None:
        """Let the sums of a group be outstanding from its last word, at which ``ends`` is 1, until they are drained."""
        with m.If(self.drained):
            m.d.sync += held.eq(0)
        with m.Elif(ends):
            m.d.sync += held.eq(1)

    def _pace(self, m: Module, held: Signal, ends: Value) -> None:
        """Let a group end, at which ``ends`` is 1, when there is room for its results and the one before it ended long
        enough ago."""
        interval = join_interval(self._config)
        # Both are one less than what is left, so that their signs tell that there is nothing left: of groups for which
        # there is room, and of cycles that have to pass.
        groups = Signal(signed(ceil_log2(self._groups) + 1), init=self._groups - 1)
        cycles, drained = Signal(signed(ceil_log2(interval) + 1), init=-1), Signal()
        m.d.comb += held.eq((groups < 0) | (cycles >= 0))
        m.d.sync += [drained.eq(self.drained), groups.eq(groups - ends + drained)]
        with m.If(ends):
            m.d.sync += cycles.eq(interval - 2)
        with m.Elif(cycles >= 0):
            m.d.sync += cycles.eq(cycles - 1)
