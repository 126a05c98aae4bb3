"""Drain: finds the sums of a group of rows in the lanes and passes them on one at a time.

Sums of padding rows, past the last of the matrix, are dropped at once.

Latency :func:`drain_latency` cycles; one sum a cycle.
"""

from amaranth.hdl import Assert, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import EngineConfig
from hw.parts.pipeline import pipeline
from hw.payloads import FACTOR_BITS, matrix_layout, sum_layout

__all__ = ["Drain", "drain_latency"]

_AT_ONCE = 16
"""Lanes that are chosen between in one cycle where clocks are high. More of them lie too far from each other."""
_NEIGHBOURS = 8
"""Lanes that are chosen between first, where that takes two steps."""


def _choice_steps(config: EngineConfig) -> int:
    """Registers within the choice of a lane."""
    steps = config.pipelining.drain
    return steps if config.lanes > _AT_ONCE else max(steps - 1, 0)


def drain_latency(config: EngineConfig) -> int:
    """Cycles from the sums of a group to the first of them at the output."""
    return 1 + _choice_steps(config)


class Drain(wiring.Component):
    """Parallel to serial, with a count of the rows.

    Members
    -------
    matrices : In(stream of matrix_layout)
        Taken one at a time, when the one before is done; its sums wait for it.
    i : In(stream of array of lanes sums)
        Offered for a cycle; the sums stay in place until ``empty``, for whoever feeds the lanes waits for it.
    o : Out(stream of sum_layout)
    empty : Out(1)
        Strobe: the group is gone.
    """

    def __init__(self, config: EngineConfig):
        self._config, self._lanes = config, config.lanes
        super().__init__({
            "matrices": In(stream.Signature(matrix_layout(config))),
            "i": In(stream.Signature(data.ArrayLayout(signed(config.sum_bits), config.lanes))),
            "o": Out(stream.Signature(sum_layout(config))),
            "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # One bit at least: Verilog has no vectors without bits.
        index = Signal(range(max(self._lanes, 2)))
        count = Signal(range(self._lanes + 1))
        matrix = Signal(matrix_layout(self._config))
        left = matrix.rows
        # Whether there are any, and one only; so that it need not be found out of all their bits.
        due, final = Signal(), Signal()
        taken, ends = Signal(), Signal()
        m.d.comb += [self.matrices.ready.eq(~due), self.i.ready.eq(count == 0)]
        chosen = self._chosen(m, index, (count != 0) & due)
        m.d.comb += [
            chosen.payload.factor.eq(matrix.factor),
            chosen.payload.last.eq(final),
            taken.eq(chosen.valid & chosen.ready),
            ends.eq((count == 1) | final),
            self.empty.eq(taken & ends),
        ]
        m.d.sync += Assert(~self.i.valid | self.i.ready)
        with m.If(self.i.valid):
            m.d.sync += [index.eq(0), count.eq(self._lanes)]
        with m.Elif(taken):
            m.d.sync += [index.eq(index + 1), count.eq(Mux(ends, 0, count - 1)), left.eq(left - 1), due.eq(~final),
                         final.eq(left == 2)]
        with m.If(self.matrices.valid & self.matrices.ready):
            m.d.sync += [matrix.eq(self.matrices.payload), due.eq(self.matrices.payload.rows != 0),
                         final.eq(self.matrices.payload.rows == 1)]
        return m

    def _chosen(self, m, index, offered):
        """The stream of chosen lanes: while ``offered``, the sum of lane ``index``. What else goes with a sum is for
        the caller to drive."""
        steps, layout = _choice_steps(self._config), sum_layout(self._config)
        if steps and self._lanes > _AT_ONCE:
            lane = self._in_steps(m, index, steps)
            m.d.comb += lane.valid.eq(offered)
            return lane
        chosen = stream.Signature(layout).create() if steps else self.o
        m.d.comb += [chosen.valid.eq(offered), chosen.payload.sum.eq(self.i.payload[index if self._lanes > 1 else 0])]
        if steps:
            pipeline(m, chosen, self.o, [(layout, None)] * steps)
        return chosen

    def _in_steps(self, m, index, steps):
        """Choose a lane in two steps: one of all neighbours, and one of those a cycle later, or more."""
        width, groups, within = self._config.sum_bits, self._lanes // _NEIGHBOURS, exact_log2(_NEIGHBOURS)
        neighbours = [self.i.payload.as_value().word_select(n, _NEIGHBOURS * width) for n in range(groups)]
        rest = {"factor": FACTOR_BITS, "last": 1}
        lane = stream.Signature(data.StructLayout(rest)).create()
        few = data.StructLayout({"sums": data.ArrayLayout(signed(width), groups), "group": range(groups), **rest})
        fewer = stream.Signature(few).create()

        def choose(now, later):
            m.d.comb += [
                *(sum_.eq(sums.word_select(index[:within], width))
                  for sum_, sums in zip(later.sums, neighbours, strict=True)),
                later.group.eq(index[within:]),
                *(later[name].eq(now[name]) for name in rest),
            ]

        pipeline(m, lane, fewer, [(few, choose), *[(few, None)] * (steps - 1)])
        m.d.comb += [
            self.o.valid.eq(fewer.valid),
            self.o.payload.sum.eq(fewer.payload.sums[fewer.payload.group]),
            *(self.o.payload[name].eq(fewer.payload[name]) for name in rest),
            fewer.ready.eq(self.o.ready),
        ]
        return lane
