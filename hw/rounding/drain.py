"""Drain: takes the sums of a group of rows from the lanes and passes them on one at a time, in the order of the rows.

Sums of padding rows, after the last row of the matrix, are dropped at once.

Latency: :func:`drain_latency` cycles from the sums of a group to the first of them at the output. Rate: one sum a
cycle.
"""

from typing import Any

from amaranth.hdl import Assert, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import EngineConfig
from hw.parts.pipeline import pipeline
from hw.payloads import FACTOR_BITS, lane_sum, matrix_layout, sum_layout

__all__ = ["Drain", "drain_latency"]

_AT_ONCE = 16
"""Number of lanes of which one is chosen in one cycle where clocks are high. More lanes lie too far from each other."""
_NEIGHBOURS = 8
"""Number of neighbouring lanes of which one is chosen first, where the choice takes two steps."""


def _choice_steps(config: EngineConfig) -> int:
    """Number of registers within the choice of a lane."""
    steps = config.pipelining.drain
    return steps if config.lanes > _AT_ONCE else max(steps - 1, 0)


def drain_latency(config: EngineConfig) -> int:
    """Cycles from the sums of a group to the first of them at the output: the registers of count and index, and those
    within the choice of a lane."""
    return 1 + _choice_steps(config)


class Drain(wiring.Component):
    """Makes a stream of single sums out of groups, and counts the rows of each matrix.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    matrices : In(stream of matrix_layout)
        Each is accepted when the one before it has been drained. Sums that arrive before their matrix wait for it.
    i : In(stream of array of lanes lane_sum)
        A group's sums, ``valid`` for a cycle in which ``ready`` has to be 1. They stay in place until ``drained``,
        because the join sends the lanes nothing that would replace them before.
    o : Out(stream of sum_layout)
        The sums of the rows of each matrix.
    drained : Out(1)
        Strobe: the last sum of the group has been accepted.
    """

    def __init__(self, config: EngineConfig):
        self._config, self._lanes = config, config.lanes
        super().__init__({
            "matrices": In(stream.Signature(matrix_layout(config))),
            "i": In(stream.Signature(data.ArrayLayout(lane_sum(config), config.lanes))),
            "o": Out(stream.Signature(sum_layout(config))),
            "drained": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # An index has one bit at least, because Verilog has no vectors without bits.
        index = Signal(range(max(self._lanes, 2)))
        count = Signal(range(self._lanes + 1))
        matrix = Signal(matrix_layout(self._config))
        pending_rows = matrix.rows
        # Registers of their own say whether rows are pending and whether only one is, so that no logic has to look at
        # all bits of their number.
        pending, final = Signal(), Signal()
        accepted, group_ends = Signal(), Signal()
        m.d.comb += [self.matrices.ready.eq(~pending), self.i.ready.eq(count == 0)]
        chosen = self._chosen(m, index, (count != 0) & pending)
        m.d.comb += [
            chosen.payload.factor.eq(matrix.factor),
            chosen.payload.last.eq(final),
            accepted.eq(chosen.valid & chosen.ready),
            group_ends.eq((count == 1) | final),
            self.drained.eq(accepted & group_ends),
        ]
        m.d.sync += Assert(~self.i.valid | self.i.ready)
        with m.If(self.i.valid):
            m.d.sync += [index.eq(0), count.eq(self._lanes)]
        with m.Elif(accepted):
            m.d.sync += [index.eq(index + 1), count.eq(Mux(group_ends, 0, count - 1)),
                         pending_rows.eq(pending_rows - 1), pending.eq(~final), final.eq(pending_rows == 2)]
        with m.If(self.matrices.valid & self.matrices.ready):
            m.d.sync += [matrix.eq(self.matrices.payload), pending.eq(self.matrices.payload.rows != 0),
                         final.eq(self.matrices.payload.rows == 1)]
        return m

    def _chosen(self, m: Module, index: Signal, offered: Value) -> stream.Interface:
        """The stream of chosen sums: while ``offered`` is 1, it offers the sum of lane ``index``. The caller drives the
        other fields of its payload."""
        steps, layout = _choice_steps(self._config), sum_layout(self._config)
        if steps and self._lanes > _AT_ONCE:
            lane = self._in_steps(m, index, steps)
            m.d.comb += lane.valid.eq(offered)
            return lane
        chosen = stream.Signature(layout).create() if steps else self.o
        row = self.i.payload[index if self._lanes > 1 else 0]
        m.d.comb += [chosen.valid.eq(offered), *(chosen.payload[name].eq(row[name]) for name, _ in row.shape())]
        if steps:
            pipeline(m, chosen, self.o, [(layout, None)] * steps)
        return chosen

    def _in_steps(self, m: Module, index: Signal, steps: int) -> stream.Interface:
        """The same stream, without a lane's part of its payload, where a lane is chosen in two steps: one lane of each
        set of neighbours, and ``steps`` cycles later one of these."""
        row, groups, within = lane_sum(self._config), self._lanes // _NEIGHBOURS, exact_log2(_NEIGHBOURS)
        width = row.size
        neighbours = [self.i.payload.as_value().word_select(n, _NEIGHBOURS * width) for n in range(groups)]
        rest = {"factor": FACTOR_BITS, "last": 1}
        lane = stream.Signature(data.StructLayout(rest)).create()
        few = data.StructLayout({"sums": data.ArrayLayout(row, groups), "group": range(groups), **rest})
        fewer = stream.Signature(few).create()

        def choose(now: Any, later: Any) -> None:
            m.d.comb += [
                *(sum_.eq(sums.word_select(index[:within], width))
                  for sum_, sums in zip(later.sums, neighbours, strict=True)),
                later.group.eq(index[within:]),
                *(later[name].eq(now[name]) for name in rest),
            ]

        pipeline(m, lane, fewer, [(few, choose), *[(few, None)] * (steps - 1)])
        m.d.comb += [
            self.o.valid.eq(fewer.valid),
            *(self.o.payload[name].eq(fewer.payload.sums[fewer.payload.group][name]) for name, _ in row),
            *(self.o.payload[name].eq(fewer.payload[name]) for name in rest),
            fewer.ready.eq(self.o.ready),
        ]
        return lane
