"""Activations: makes the words that the lanes share of the beats of a vector.

    activation buffer --> gate --> store --> align --> queue

The gate lets no more requests pass than the queue has room for, so nothing between them ever stalls. The FP16 baseline
has no align stage.

Latency: :func:`activations_latency` cycles from the last beat of a vector to its first word. Rate: one beat a cycle in
and one word a cycle out.
"""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.activations.align import Align, align_latency
from hw.activations.buffer import ActivationBuffer, exponent_latency
from hw.activations.store import ActivationStore, request_layout, store_latency
from hw.config import ConfigError, EngineConfig
from hw.parts.credit_gate import CreditGate, free_running
from hw.parts.stream_queue import StreamQueue
from hw.parts.stream_slice import StreamSlice, sliced
from hw.payloads import activation_word, job_layout, matrix_layout

__all__ = ["Activations", "activations_latency"]

_DEPTH = 16
"""Words that the queue holds, which are more than the cycles from the gate to the queue and back."""


def activations_latency(config: EngineConfig) -> int:
    """Cycles from the last beat of a vector to the first of its words: exponent, store, align, queue, slices."""
    align = align_latency(config) if config.fmt.block_floating else 0
    return (exponent_latency(config) + store_latency(config) + align + StreamQueue.latency
            + config.pipelining.words * StreamSlice.latency)


class Activations(wiring.Component):
    """Wires the stages of the activations together.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    jobs, i, matrices, not_finite
        These are the members of :class:`~hw.activations.buffer.ActivationBuffer`.
    o : Out(stream of activation_word)
        The words of the vector, once for every group of rows.

    Raises
    ------
    ConfigError
        When the engine is to have the rotation, whose stages are not wired yet.
    """

    def __init__(self, config: EngineConfig):
        if config.rotation:
            raise ConfigError("activations: mirror and rotate are not part of an engine yet: leave rotation out")
        self._config = config
        super().__init__({
            "jobs": In(stream.Signature(job_layout(config))),
            "i": In(stream.Signature(config.bus_bits)),
            "o": Out(stream.Signature(activation_word(config))),
            "matrices": Out(stream.Signature(matrix_layout(config))),
            "not_finite": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.buffer = buffer = ActivationBuffer(config)
        m.submodules.gate = gate = CreditGate(request_layout(config), _DEPTH)
        m.submodules.store = store = ActivationStore(config)
        m.submodules.queue = queue = StreamQueue(activation_word(config), _DEPTH, credited=True)
        # The lanes and the join are far from the queue; slices split the wires between them.
        words = sliced(m, "slice", queue.o, config.pipelining.words)
        for mine, inner in ((self.jobs, buffer.jobs), (self.i, buffer.i), (self.o, words),
                            (self.matrices, buffer.matrices)):
            wiring.connect(m, wiring.flipped(mine), inner)
        wiring.connect(m, buffer.o, gate.i)
        stages: list[wiring.Component] = [store]
        if config.fmt.block_floating:
            m.submodules.align = align = Align(config)
            stages.append(align)
        free_running(m, gate, stages, queue)
        m.d.comb += [self.not_finite.eq(buffer.not_finite), store.write.eq(buffer.write)]
        return m
