"""Beat router: the first beats of a run are activations, the rest are weights.

Combinational, one beat a cycle.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig

__all__ = ["BeatRouter"]


class BeatRouter(wiring.Component):
    """One stream of beats to two.

    Members
    -------
    start : In(1)
        A new run follows.
    beats : In
        How many beats of it are activations.
    i, activations, weights : streams of bus_bits
    """

    def __init__(self, config: EngineConfig):
        beat = stream.Signature(config.bus_bits)
        super().__init__({
            "start": In(1),
            "beats": In(range(config.max_activation_beats + 1)),
            "i": In(beat),
            "activations": Out(beat),
            "weights": Out(beat),
        })

    def elaborate(self, platform):
        m = Module()
        left = Signal.like(self.beats)
        m.d.comb += [self.activations.payload.eq(self.i.payload), self.weights.payload.eq(self.i.payload)]
        with m.If(left != 0):
            m.d.comb += [self.activations.valid.eq(self.i.valid), self.i.ready.eq(self.activations.ready)]
        with m.Else():
            m.d.comb += [self.weights.valid.eq(self.i.valid), self.i.ready.eq(self.weights.ready)]
        with m.If(self.start):
            m.d.sync += left.eq(self.beats)
        with m.Elif(self.activations.valid & self.activations.ready):
            m.d.sync += left.eq(left - 1)
        return m
