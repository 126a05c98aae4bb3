"""Sequencer: runs a chain of matrices from the start strobe to the last result in memory.

The registers hold the descriptor of the matrix whose regions of memory are being requested. The regions of a matrix are
requested in this order: its activations, the descriptor of the next matrix if there is one, and its weights. The next
descriptor then overwrites the registers, and the next matrix begins. The sequencer does not wait for the datapath, so
the read DMA always has work: while one matrix is multiplied and its results are written, the words of the next one are
on their way.

States:

==============  ======================================================================================================
IDLE            There is no run. A request starts one.
SETTLE          A run has been requested while responses to the failed run before are outstanding on the bus. The
                sequencer waits until they have been received; if the watchdog expires first, this run fails too.
ACTIVATIONS     The matrix's activations are requested, once its job and the address of its results can be queued.
DESCRIPTOR      The next matrix's descriptor is requested, if there is one.
WEIGHTS         The matrix's weights are requested.
FETCH           The sequencer waits until the next descriptor is in the registers.
FINISH          All regions have been requested. The sequencer waits until all results are in memory.
ABORT           The run has failed. The sequencer waits until nothing is outstanding on the bus or the watchdog expires.
==============  ======================================================================================================

A run fails, from any state between IDLE and ABORT, when the supervisor raises ``abort``; its causes are those of
:data:`hw.engine.supervisor.ERRORS`. The sequencer finds no errors itself.

Latency: the first region is offered :data:`START_LATENCY` cycles after the start strobe, and as long after a descriptor
is in the registers. A run lasts :data:`END_LATENCY` cycles more after the response to its last result.
"""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.dma.descriptor import WORDS, descriptor_beats
from hw.payloads import Destination, job_layout, region_layout

__all__ = ["END_LATENCY", "IN_FLIGHT", "START_LATENCY", "Sequencer"]

IN_FLIGHT = 4
"""Matrices whose results may wait to be written."""
START_LATENCY = 1
"""Cycles from the start strobe to the offer of the first region."""
END_LATENCY = 1
"""Cycles of a run after the one in which the response to the last result is received."""


class Sequencer(wiring.Component):
    """Control of a run.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    request : In(1)
        Strobe: start a run. It is ignored during a run.
    next, activation_addr, weight_addr, ... : In(32)
        The words of the descriptor in the registers, FORMAT apart.
    regions : Out(stream of region_layout)
        To the read DMA.
    jobs : Out(stream of job_layout)
        To the activation buffer.
    bases : Out(stream of addr_bits)
        Byte addresses of results, to the write DMA.
    fetching : Out(1)
        The next descriptor may be loaded into the registers.
    fetched : In(1)
        Strobe: the last beat of a descriptor has been received.
    written : In(1)
        Strobe: all results of a matrix are in memory.
    read_idle : In(1)
        The read DMA has nothing outstanding.
    abort : In(1)
        The run has failed, or responses to a failed run are outstanding.
    expired : In(1)
        The watchdog has expired: nothing on the bus is waited for any longer.
    start : Out(1)
        Strobe: a run starts in the next cycle.
    busy : Out(1)
        A run is under way.
    done : Out(1)
        The last run has ended.
    reading : Out(1)
        The last beat of the run has not come yet.
    all_requested : Out(1)
        The last region of the run has been requested.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        inputs = ("request", "fetched", "written", "read_idle", "abort", "expired")
        super().__init__({
            **{name: In(1) for name in inputs},
            **{name.lower(): In(32) for name in WORDS if name != "FORMAT"},
            "regions": Out(stream.Signature(region_layout(config))),
            "jobs": Out(stream.Signature(job_layout(config))),
            "bases": Out(stream.Signature(config.addr_bits)),
            "fetching": Out(1), "start": Out(1), "busy": Out(1), "done": Out(1), "reading": Out(1),
            "all_requested": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        begin, more, unwritten = Signal(), Signal(), Signal(range(2 * IN_FLIGHT))
        # `more` is a cycle old. It is looked at a cycle after `begin` at the earliest, so it is of the same descriptor.
        m.d.sync += [more.eq(self.next != 0), unwritten.eq(unwritten + begin - self.written)]
        room = self._enqueue(m, begin)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.start.eq(self.request)
                m.d.sync += unwritten.eq(0)
                with m.If(self.request):
                    m.d.sync += self.done.eq(0)
                    m.next = "ACTIVATIONS"
                    with m.If(self.abort):
                        m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(self.expired):
                    m.next = "ABORT"
                with m.Elif(~self.abort):
                    m.next = "ACTIVATIONS"
            self._request_regions(m, begin, more, room)
            self._wait(m, unwritten)
            m.d.comb += [
                self.busy.eq(~fsm.ongoing("IDLE")),
                self.all_requested.eq(fsm.ongoing("FINISH")),
                self.reading.eq(~(fsm.ongoing("ABORT") | (fsm.ongoing("FINISH") & self.read_idle))),
            ]
        return m

    def _enqueue(self, m: Module, begin: Signal) -> Signal:
        """Put the job and the results' address of a matrix into their queues, a cycle after ``begin``.

        Returns whether there is room for another pair. The queues are far away, so this is a cycle old, which is recent
        enough: only the sequencer fills the queues, and it needs more than a cycle from one matrix to the next.
        """
        job, enqueue, room = self.jobs.payload, Signal(), Signal()
        m.d.sync += [room.eq(self.jobs.ready & self.bases.ready), enqueue.eq(begin)]
        m.d.comb += [
            self.jobs.valid.eq(enqueue),
            job.beats.eq(self.activation_beats),
            job.blocks.eq(self.blocks),
            job.rows.eq(self.rows),
            job.factor.eq(self.factor_exponent),
            self.bases.valid.eq(enqueue),
            self.bases.payload.eq(self.result_addr),
        ]
        return room

    def _request_regions(self, m: Module, begin: Signal, more: Signal, room: Signal) -> None:
        """States that request the regions of a matrix."""
        def request(to: Destination, addr: Value, beats: Value | int, valid: Value | int) -> None:
            region = self.regions
            m.d.comb += [region.payload.to.eq(to), region.payload.addr.eq(addr), region.payload.beats.eq(beats),
                         region.valid.eq(valid)]

        with m.State("ACTIVATIONS"):
            request(Destination.ACTIVATIONS, self.activation_addr, self.activation_beats, room)
            m.d.comb += begin.eq(self.regions.valid & self.regions.ready)
            with m.If(self.abort):
                m.next = "ABORT"
            with m.Elif(begin):
                m.next = "DESCRIPTOR"
        with m.State("DESCRIPTOR"):
            request(Destination.DESCRIPTOR, self.next, descriptor_beats(self._config), more)
            with m.If(self.abort):
                m.next = "ABORT"
            with m.Elif(self.regions.ready | ~more):
                m.next = "WEIGHTS"
        with m.State("WEIGHTS"):
            request(Destination.WEIGHTS, self.weight_addr, self.weight_beats, 1)
            with m.If(self.abort):
                m.next = "ABORT"
            with m.Elif(self.regions.ready & more):
                m.d.sync += self.fetching.eq(1)
                m.next = "FETCH"
            with m.Elif(self.regions.ready):
                m.next = "FINISH"

    def _wait(self, m: Module, unwritten: Signal) -> None:
        """States that wait for the next descriptor and for the end of the run."""
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
        with m.State("ABORT"), m.If(~self.abort | self.expired):
            m.d.sync += self.done.eq(1)
            m.next = "IDLE"
