"""Sequencer: runs a chain of matrices from the start strobe to the last result in memory.

The registers hold the descriptor of the matrix whose regions are being asked for. In the order of the bus, those are
its activations, the descriptor of the next matrix if there is one, and its weights; the next descriptor overwrites the
registers. Nothing waits for the datapath, so that the read DMA has work all the time: the next matrix' words are on
their way while this one's are being multiplied, and while its results are being written.

Latency :data:`START_LATENCY` cycles from the start to the first region, and as long from a descriptor in the registers
to the next matrix' first region; :data:`END_LATENCY` cycles from the last result in memory to the end of the run.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.dma.descriptor import WORDS, descriptor_beats
from hw.payloads import Destination, job_layout, region_layout

__all__ = ["END_LATENCY", "IN_FLIGHT", "START_LATENCY", "Sequencer"]

IN_FLIGHT = 4
"""Matrices that may wait for their results' turn."""
START_LATENCY = 1
"""Cycles from the start strobe to the first region."""
END_LATENCY = 1
"""Cycles of a run after the one in which the last result's response comes."""


class Sequencer(wiring.Component):
    """Control of a run.

    Members
    -------
    request : In(1)
        Strobe: start a run; ignored during one.
    next, activation_addr, weight_addr, ... : In(32)
        The descriptor's words, FORMAT apart.
    regions : Out(stream of region_layout)
        To the read DMA.
    jobs : Out(stream of job_layout)
        To the activation buffer.
    bases : Out(stream of addr_bits)
        To the write DMA.
    fetching : Out(1)
        The next descriptor may come.
    fetched, written : In(1)
        Strobes: it has come; the results of a matrix are in memory.
    all_read : In(1)
        The read DMA has nothing under way.
    abort, expired : In(1)
        The run has failed; and there is nothing to wait for.
    start : Out(1)
        Strobe: a run starts.
    busy, done, reading : Out(1)
        A run is under way; the last run has ended; beats are still due.
    asked : Out(1)
        The run's last region has been asked for.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        strobes = ("request", "fetched", "written", "all_read", "abort", "expired")
        super().__init__({
            **{name: In(1) for name in strobes},
            **{name.lower(): In(32) for name in WORDS if name != "FORMAT"},
            "regions": Out(stream.Signature(region_layout(config))),
            "jobs": Out(stream.Signature(job_layout(config))),
            "bases": Out(stream.Signature(config.addr_bits)),
            "fetching": Out(1), "start": Out(1), "busy": Out(1), "done": Out(1), "reading": Out(1), "asked": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        region, job = self.regions.payload, self.jobs.payload
        begin, begun, more, room = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.jobs.valid.eq(begun),
            job.beats.eq(self.activation_beats),
            job.blocks.eq(self.blocks),
            job.rows.eq(self.rows),
            job.factor.eq(self.factor_exponent),
            self.bases.valid.eq(begun),
            self.bases.payload.eq(self.result_addr),
        ]
        # Who takes jobs and bases is far away. Nobody else fills their queues, and the next descriptor takes longer.
        # Whether there is more is looked at a cycle after the descriptor's activations have been asked for.
        m.d.sync += [room.eq(self.jobs.ready & self.bases.ready), begun.eq(begin), more.eq(self.next != 0)]
        unwritten = Signal(range(2 * IN_FLIGHT))
        m.d.sync += unwritten.eq(unwritten + begin - self.written)

        def ask(to, addr, beats):
            m.d.comb += [region.to.eq(to), region.addr.eq(addr), region.beats.eq(beats)]

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.start.eq(self.request)
                m.d.sync += unwritten.eq(0)
                with m.If(self.request):
                    m.d.sync += self.done.eq(0)
                    m.next = "ACTIVATIONS"
                    with m.If(self.abort):
                        m.next = "SETTLE"
            # The run before has left something under way on the bus.
            with m.State("SETTLE"):
                with m.If(self.expired):
                    m.next = "ABORT"
                with m.Elif(~self.abort):
                    m.next = "ACTIVATIONS"
            with m.State("ACTIVATIONS"):
                ask(Destination.ACTIVATIONS, self.activation_addr, self.activation_beats)
                m.d.comb += [
                    self.regions.valid.eq(room),
                    begin.eq(self.regions.valid & self.regions.ready),
                ]
                with m.If(self.abort):
                    m.next = "ABORT"
                with m.Elif(begin):
                    m.next = "DESCRIPTOR"
            with m.State("DESCRIPTOR"):
                ask(Destination.DESCRIPTOR, self.next, descriptor_beats(self._config))
                m.d.comb += self.regions.valid.eq(more)
                with m.If(self.abort):
                    m.next = "ABORT"
                with m.Elif(self.regions.ready | ~more):
                    m.next = "WEIGHTS"
            with m.State("WEIGHTS"):
                ask(Destination.WEIGHTS, self.weight_addr, self.weight_beats)
                m.d.comb += self.regions.valid.eq(1)
                with m.If(self.abort):
                    m.next = "ABORT"
                with m.Elif(self.regions.ready & more):
                    m.d.sync += self.fetching.eq(1)
                    m.next = "FETCH"
                with m.Elif(self.regions.ready):
                    m.next = "FINISH"
            with m.State("FETCH"):
                with m.If(self.abort | self.fetched):
                    m.d.sync += self.fetching.eq(0)
                with m.If(self.abort):
                    m.next = "ABORT"
                with m.Elif(self.fetched):
                    m.next = "ACTIVATIONS"
            with m.State("FINISH"):
                with m.If(self.abort):
                    m.next = "ABORT"
                with m.Elif(unwritten == 0):
                    m.d.sync += self.done.eq(1)
                    m.next = "IDLE"
            # Only the bus is waited for.
            with m.State("ABORT"), m.If(~self.abort | self.expired):
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"
            m.d.comb += [
                self.busy.eq(~fsm.ongoing("IDLE")),
                self.asked.eq(fsm.ongoing("FINISH")),
                self.reading.eq(~(fsm.ongoing("ABORT") | (fsm.ongoing("FINISH") & self.all_read))),
            ]
        return m
