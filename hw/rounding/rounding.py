"""Rounding: makes float32 numbers of the lanes' sums.

    drain --> gate --> normalise --> scale --> queue

The gate lets no more sums pass than the queue has room for, so nothing between them ever stalls.

Latency: :func:`rounding_latency` cycles from the sums of a group of rows to the first result. Rate: one result a cycle,
as long as a sum that passes the gate has left the queue within as many cycles as the queue holds results.
"""

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.parts.credit_gate import CreditGate, free_running
from hw.parts.stream_queue import StreamQueue
from hw.parts.stream_slice import StreamSlice, sliced
from hw.payloads import matrix_layout, result_layout, sum_layout
from hw.rounding.drain import Drain, drain_latency
from hw.rounding.normalise import Normalise, normalise_latency
from hw.rounding.scale import Scale, scale_latency

__all__ = ["Rounding", "rounding_latency"]

_DEPTH = 16
"""Results that the queue holds. This is more than the cycles from the gate to the queue and back, except where sums
are so wide that normalising takes the most steps; there the rate is a little less than one a cycle."""


def rounding_latency(config: EngineConfig) -> int:
    """Cycles from the sums of a group of rows to the first float32: drain, normalise, scale, queue, slices."""
    return (drain_latency(config) + normalise_latency(config) + scale_latency(config) + StreamQueue.latency
            + config.pipelining.results * StreamSlice.latency)


class Rounding(wiring.Component):
    """Wires the stages of the results together.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    matrices, i, drained
        These are the members of :class:`~hw.rounding.drain.Drain`.
    o : Out(stream of result_layout)
        Results in the order of the rows.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "matrices": In(stream.Signature(matrix_layout(config))),
            "i": In(stream.Signature(data.ArrayLayout(signed(config.sum_bits), config.lanes))),
            "o": Out(stream.Signature(result_layout())),
            "drained": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
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
        return m
