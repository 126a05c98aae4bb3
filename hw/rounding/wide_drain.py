"""Wide drain: takes the sums of a group of rows from the lanes and passes them on side by side, in the rows' order.

It is the drain of an engine with more than one result a cycle. It never stops: the join sees to it that there is room
for all results of a group, and that the sums of a group have passed before those of the next arrive. Sums of padding
rows, after the last row of the matrix, are dropped at once.

Latency: :func:`wide_drain_latency` cycles from the sums of a group to the first of them at the output. Rate:
``results_per_cycle`` sums a cycle; the first ones pass in the cycle in which a group arrives.
"""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.parts.delay import delayed
from hw.payloads import lane_sum, matrix_layout, sum_layout

__all__ = ["WideDrain", "wide_drain_latency"]


def wide_drain_latency(config: EngineConfig) -> int:
    """Cycles from the sums of a group to the first of them at the output: registers behind the choice of lanes."""
    return config.pipelining.drain


class WideDrain(wiring.Component):
    """Makes streams of sums out of groups, and counts the rows of each matrix.

    Parameters
    ----------
    config : EngineConfig
        It has more than one result a cycle.

    Members
    -------
    matrices : In(stream of matrix_layout)
        Each is accepted when the last sums of the one before it pass. It has to be on offer before its first sums.
    i : In(stream of array of lanes lane_sum)
        A group's sums, ``valid`` for a cycle, whatever ``ready`` is. They stay in place for ``drain_cycles``, and so
        long no others arrive.
    o : Out(array of results_per_cycle streams of sum_layout)
        The sums of rows that follow each other, whatever ``ready`` is. All are ``valid`` in the same cycles, except
        those behind the last row of the matrix.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "matrices": In(stream.Signature(matrix_layout(config))),
            "i": In(stream.Signature(data.ArrayLayout(lane_sum(config), config.lanes))),
            "o": Out(stream.Signature(sum_layout(config))).array(config.results_per_cycle),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, count = self._config, self._config.results_per_cycle
        matrix, pending, final = Signal(matrix_layout(config)), Signal(), Signal()
        # `final`: the sums that pass next are the last ones of the matrix. `index` numbers them within their group.
        rows = matrix.rows
        index, passing, group_ends = Signal(range(max(config.drain_cycles, 2))), Signal(), Signal()
        m.d.comb += [
            passing.eq(self.i.valid | (index != 0)),
            group_ends.eq((index == config.drain_cycles - 1) | final),
            self.i.ready.eq(index == 0),
            self.matrices.ready.eq(~pending | (passing & final)),
        ]
        m.d.sync += [
            Assert(~self.i.valid | self.i.ready, "a group arrives while the one before it is being drained"),
            Assert(~passing | pending, "sums arrive before their matrix"),
        ]
        with m.If(passing):
            m.d.sync += [index.eq(Mux(group_ends, 0, index + 1)), rows.eq(rows - count), pending.eq(~final),
                         final.eq(rows <= 2 * count)]
        with m.If(self.matrices.valid & self.matrices.ready):
            following = self.matrices.payload
            m.d.sync += [matrix.eq(following), pending.eq(following.rows != 0), final.eq(following.rows <= count)]

        # One lane of those whose rows leave at the same place.
        steps = config.pipelining.drain
        for place, o in enumerate(self.o):
            rows_here = Cat(self.i.payload[lane] for lane in range(place, config.lanes, count))
            row = lane_sum(config)(rows_here.word_select(index, lane_sum(config).size))
            valid = passing & (~final | (rows > place))
            last = final & (rows == place + 1)
            payload = Signal(sum_layout(config), name=f"payload{place}")
            m.d.comb += [*(payload[name].eq(row[name]) for name, _ in row.shape()), payload.factor.eq(matrix.factor),
                         payload.last.eq(last)]
            m.d.comb += [o.valid.eq(delayed(m, valid, steps, f"valid{place}")),
                         o.payload.eq(delayed(m, payload, steps, f"sum{place}", reset_less=True))]
        return m
