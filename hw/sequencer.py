"""Sequencer: runs one matrix-vector product from the start strobe to the last result in memory.

A run asks the read DMA for the activations and, right behind them, for the weights; everything else follows from the
data. It ends when the write DMA reports the last result.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.read_dma import region_layout

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Control of a run.

    Members
    -------
    request : In(1)
        Strobe: start a run; ignored during one.
    activation_addr, activation_beats, weight_addr, weight_beats : In(32)
        The two regions.
    read_beat, write_done : In(1)
        Strobes from the DMAs: a beat came; the last result is in memory.
    start : Out(1)
        Strobe: a run starts.
    regions : Out(stream of region_layout)
    busy, done, reading : Out(1)
        A run is under way; the last run has ended; beats are still due.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "request": In(1),
            "activation_addr": In(32), "activation_beats": In(32), "weight_addr": In(32), "weight_beats": In(32),
            "read_beat": In(1),
            "write_done": In(1),
            "start": Out(1),
            "regions": Out(stream.Signature(region_layout(config))),
            "busy": Out(1), "done": Out(1), "reading": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        due = Signal(32)
        m.d.comb += self.reading.eq(due != 0)
        with m.If(self.read_beat):
            m.d.sync += due.eq(due - 1)

        region = self.regions.payload
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.start.eq(self.request)
                with m.If(self.request):
                    m.d.sync += [self.done.eq(0), due.eq(self.activation_beats + self.weight_beats)]
                    m.next = "ACTIVATIONS"
            for state, addr, beats, following in (
                ("ACTIVATIONS", self.activation_addr, self.activation_beats, "WEIGHTS"),
                ("WEIGHTS", self.weight_addr, self.weight_beats, "RUN"),
            ):
                with m.State(state):
                    m.d.comb += [self.regions.valid.eq(1), region.addr.eq(addr), region.beats.eq(beats)]
                    with m.If(self.regions.ready):
                        m.next = following
            with m.State("RUN"), m.If(self.write_done):
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        return m
