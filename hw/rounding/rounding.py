"""Rounding: makes float32 numbers of the lanes' sums.

    drain --> gate --> normalise --> scale --> queue

The gate lets no more sums pass than the queue has room for, so nothing between them ever stalls.

Where an engine has more than one result a cycle, that many sums pass side by side, each through stages of its own:

    wide drain --> normalise --> scale --> queue
              `--> normalise --> scale --^

There the join is the gate, and nothing between it and the queue ever stalls, neither lanes nor drain.

Latency: :func:`rounding_latency` cycles from the sums of a group of rows to the first result. Rate:
``results_per_cycle`` results a cycle. With one it is so as long as a sum that passes the gate has left the queue within
as many cycles as the queue holds results; with more, as long as a group has left the queue before the others that it
has room for have ended.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.parts.credit_gate import CreditGate, free_running
from hw.parts.stream_queue import StreamQueue
from hw.parts.stream_slice import StreamSlice, sliced
from hw.payloads import lane_sum, matrix_layout, result_layout, results_layout, sum_layout
from hw.rounding.drain import Drain, drain_latency
from hw.rounding.normalise import Normalise, normalise_latency
from hw.rounding.scale import Scale, scale_latency
from hw.rounding.wide_drain import WideDrain, wide_drain_latency

__all__ = ["Rounding", "rounding_latency"]

_DEPTH = 16
"""Results that the queue holds. This is more than the cycles from the gate to the queue and back, except where sums
are so wide that normalising takes the most steps; there the rate is a little less than one a cycle."""


def rounding_latency(config: EngineConfig) -> int:
    """Cycles from the sums of a group of rows to the first float32: drain, normalise, scale, queue, slices."""
    drain = drain_latency if config.results_per_cycle == 1 else wide_drain_latency
    return (drain(config) + normalise_latency(config) + scale_latency(config) + StreamQueue.latency
            + config.pipelining.results * StreamSlice.latency)


class Rounding(wiring.Component):
    """Wires the stages of the results together.

    Parameters
    ----------
    config : EngineConfig
    groups : int
        With more than one result a cycle, the groups whose results the queue holds.

    Members
    -------
    matrices, i
        These are the members of :class:`~hw.rounding.drain.Drain`, or of :class:`~hw.rounding.wide_drain.WideDrain`.
    o : Out(stream of results_layout)
        Results in the order of the rows.
    drained : Out(1)
        Strobe: the last sum of a group has left the drain; with more than one result a cycle, its last result has left
        the queue.
    """

    def __init__(self, config: EngineConfig, groups: int = 1):
        self._config, self._groups = config, groups
        super().__init__({
            "matrices": In(stream.Signature(matrix_layout(config))),
            "i": In(stream.Signature(data.ArrayLayout(lane_sum(config), config.lanes))),
            "o": Out(stream.Signature(results_layout(config))),
            "drained": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._config.results_per_cycle == 1:
            self._one_by_one(m)
        else:
            self._side_by_side(m)
        return m

    def _one_by_one(self, m: Module) -> None:
        """The stages of one result a cycle."""
        config = self._config
        m.submodules.drain = drain = Drain(config)
        m.submodules.gate = gate = CreditGate(sum_layout(config), _DEPTH)
        m.submodules.normalise = normalise = Normalise(config)
        m.submodules.scale = scale = Scale(config)
        m.submodules.queue = queue = StreamQueue(result_layout(), _DEPTH, credited=True)
        # The write DMA is far from the queue; slices split the wires between them.
        results = sliced(m, "slice", queue.o, config.pipelining.results)
        for mine, inner in ((self.matrices, drain.matrices), (self.i, drain.i), (self.o, results)):
            wiring.connect(m, wiring.flipped(mine), inner)
        wiring.connect(m, drain.o, gate.i)
        free_running(m, gate, [normalise, scale], queue)
        m.d.comb += self.drained.eq(drain.drained)

    def _side_by_side(self, m: Module) -> None:
        """The stages of several results a cycle, which keep in step."""
        config, layout = self._config, results_layout(self._config)
        m.submodules.drain = drain = WideDrain(config)
        m.submodules.queue = queue = StreamQueue(layout, self._groups * config.drain_cycles, credited=True)
        wiring.connect(m, wiring.flipped(self.matrices), drain.matrices)
        wiring.connect(m, wiring.flipped(self.i), drain.i)
        scales = []
        for place, o in enumerate(drain.o):
            m.submodules[f"normalise{place}"] = normalise = Normalise(config)
            m.submodules[f"scale{place}"] = scale = Scale(config)
            wiring.connect(m, o, normalise.i)
            wiring.connect(m, normalise.o, scale.i)
            m.d.comb += scale.o.ready.eq(1)
            scales.append(scale.o)
        m.d.comb += [
            queue.i.valid.eq(scales[0].valid),
            Cat(queue.i.payload.results).eq(Cat(scale.payload.result for scale in scales)),
            queue.i.payload.valid.eq(Cat(scale.valid for scale in scales)),
            queue.i.payload.last.eq(Cat(scale.valid & scale.payload.last for scale in scales).any()),
        ]
        # A group has left the queue with the last of its results, or with the last one of the matrix.
        count, left = Signal(range(max(config.drain_cycles, 2))), queue.o.valid & queue.o.ready
        group_ends = (count == config.drain_cycles - 1) | queue.o.payload.last
        with m.If(left):
            m.d.sync += count.eq(Mux(group_ends, 0, count + 1))
        m.d.comb += self.drained.eq(left & group_ends)
        wiring.connect(m, wiring.flipped(self.o), sliced(m, "slice", queue.o, config.pipelining.results))
