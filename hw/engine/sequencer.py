"""Sequencer: runs a chain of matrices from the start strobe to the last result in memory.

The registers hold the descriptor of the matrix whose regions of memory are being requested. The regions of a matrix are
requested in this order: its activations, the descriptor of the next matrix if there is one, and its weights. The next
descriptor then overwrites the registers, and the next matrix begins. The sequencer does not wait for the datapath, so
the read DMA always has work: while one matrix is multiplied and its results are written, the words of the next one are
on their way.

States:

==============  ======================================================================================================
IDLE            There is no run. A request starts one.
SETTLE          A run has been requested while memory may still answer what went before. The sequencer waits until it
                can do so no more; if the watchdog expires first, or software aborts the run, it fails.
ACTIVATIONS     A descriptor is in the registers. The matrix's activations are requested, once the descriptor has been
                checked, and its job and the address of its results can be queued.
DESCRIPTOR      The next matrix's descriptor is requested, if there is one.
WEIGHTS         The matrix's weights are requested.
FETCH           The sequencer waits until the next descriptor is in the registers.
FINISH          All regions have been requested. The sequencer waits until all results are in memory.
ABORT           The run has failed. The sequencer waits until nothing is outstanding on the bus, or until the supervisor
                gives up waiting for it.
==============  ======================================================================================================

Nothing is requested of a descriptor that the checker has refused: the sequencer waits for the abort that follows.

A run fails, from any state between IDLE and ABORT, when the supervisor raises ``abort``; its causes are those of
:data:`hw.registers.register_map.ERRORS`. The sequencer finds no errors itself.

Latency: the first region is offered :data:`START_LATENCY` cycles after the start strobe, and as long after a descriptor
is in the registers. A run lasts :data:`END_LATENCY` cycles more after the response to its last result.
"""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_beats
from hw.engine.checker import CHECK_LATENCY
from hw.payloads import Destination, job_layout, region_layout
from hw.registers.register_map import DESCRIPTOR_REGISTERS

__all__ = ["END_LATENCY", "IN_FLIGHT", "START_LATENCY", "Sequencer"]

IN_FLIGHT = 4
"""Matrices whose results may wait to be written."""
START_LATENCY = 1 + CHECK_LATENCY
"""Cycles from the start strobe to the offer of the first region, in which the descriptor is checked."""
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
        Strobe: start a run. It comes only while there is none.
    next, next_hi, activation_addr, ... : In(32)
        The registers of the descriptor.
    regions : Out(stream of region_layout)
        To the read DMA.
    jobs : Out(stream of job_layout)
        To the activation buffer.
    bases : Out(stream of addr_bits)
        Byte addresses of results, to the write DMA.
    checked, refused : In(1)
        The checker has looked at the descriptor in the registers, and has found something wrong.
    loaded : Out(1)
        A descriptor may be in the registers from the next cycle on.
    begin : Out(1)
        Strobe: the matrix in the registers is begun.
    descriptor_addr : Out(addr_bits)
        Byte address of the descriptor in the registers or on its way there; 0 for the first one of a run.
    fetching : Out(1)
        The next descriptor may be loaded into the registers.
    fetched : In(1)
        Strobe: the last beat of a descriptor has been received.
    written : In(1)
        Strobe: all results of a matrix are in memory.
    read_idle : In(1)
        The read DMA has nothing outstanding.
    abort : In(1)
        The run has failed, or memory may still answer what went before.
    failed : In(1)
        The run has failed.
    given_up : In(1)
        Nothing on the bus is waited for any longer.
    start : Out(1)
        Strobe: a run starts in the next cycle.
    settled : Out(1)
        Strobe: a run that had to wait for memory goes on in the next cycle.
    busy : Out(1)
        A run is under way.
    counting : Out(1)
        The cycle counts: a run is under way, and does not wait for memory to settle.
    ended : Out(1)
        Strobe: the run ends.
    done : Out(1)
        The last run has ended.
    reading : Out(1)
        The last beat of the run has not come yet.
    all_requested : Out(1)
        The last region of the run has been requested.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        inputs = ("request", "checked", "refused", "fetched", "written", "read_idle", "abort", "failed",
                  "given_up")
        outputs = ("loaded", "begin", "fetching", "start", "settled", "busy", "counting", "ended",
                   "done", "reading", "all_requested")
        super().__init__({
            **{name: In(1) for name in inputs},
            **{name.lower(): In(32) for name in DESCRIPTOR_REGISTERS},
            "regions": Out(stream.Signature(region_layout(config))),
            "jobs": Out(stream.Signature(job_layout(config))),
            "bases": Out(stream.Signature(config.addr_bits)),
            "descriptor_addr": Out(config.addr_bits),
            **{name: Out(1) for name in outputs},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        more, unwritten = Signal(), Signal(range(2 * IN_FLIGHT))
        # `more` is a cycle old. It is looked at a cycle after `begin` at the earliest, so it is of the same descriptor.
        m.d.sync += more.eq(self._address("next") != 0)
        room, enqueue = self._enqueue(m)
        m.d.sync += unwritten.eq(unwritten + enqueue - self.written)
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
                m.d.sync += unwritten.eq(0)  # a response that comes now is for what went before
                with m.If(self.failed):
                    m.next = "ABORT"
                with m.Elif(~self.abort):
                    m.d.comb += self.settled.eq(1)
                    m.next = "ACTIVATIONS"
            self._request_regions(m, more, room)
            self._wait(m, unwritten)
        m.d.comb += [
            self.busy.eq(~fsm.ongoing("IDLE")),
            self.counting.eq(self.busy & ~fsm.ongoing("SETTLE")),
            self.all_requested.eq(fsm.ongoing("FINISH")),
            self.reading.eq(~(self.all_requested & self.read_idle)),
            # Of the strobes that begin a run none leads to the checker, which is far away: the states before will do.
            self.loaded.eq(~self.counting | self.fetched),
        ]
        with m.If(self.start):
            m.d.sync += self.descriptor_addr.eq(0)
        with m.If(self.ended):
            m.d.sync += self.done.eq(1)
        return m

    def _address(self, name: str) -> Value:
        """The address of this name in the registers. The check sees to it that it has no further bits."""
        return Cat(getattr(self, name), getattr(self, f"{name}_hi"))[:self._config.addr_bits]

    def _enqueue(self, m: Module) -> tuple[Signal, Signal]:
        """Put the job of the matrix, and the address of its results, into their queues when the matrix has begun.

        Returns whether there is room for another pair, and a strobe, a cycle after ``begin``, that puts one there. The
        queues are far away, so both are a cycle old. This is recent enough: only the sequencer fills the queues, and it
        needs more than a cycle from one matrix to the next.
        """
        job, enqueue, room = self.jobs.payload, Signal(), Signal()
        m.d.sync += [room.eq(self.jobs.ready & self.bases.ready), enqueue.eq(self.begin)]
        m.d.comb += [
            self.jobs.valid.eq(enqueue),
            job.beats.eq(self.activation_beats),
            job.blocks.eq(self.blocks),
            job.rows.eq(self.rows),
            job.factor.eq(self.factor_exponent),
            self.bases.valid.eq(enqueue),
            self.bases.payload.eq(self._address("result_addr")),
        ]
        return room, enqueue

    def _request_regions(self, m: Module, more: Signal, room: Signal) -> None:
        """States that request the regions of a matrix."""
        def request(to: Destination, addr: Value, beats: Value | int, valid: Value | int) -> None:
            region = self.regions
            m.d.comb += [region.payload.to.eq(to), region.payload.addr.eq(addr), region.payload.beats.eq(beats),
                         region.valid.eq(valid & ~self.refused)]

        with m.State("ACTIVATIONS"):
            request(Destination.ACTIVATIONS, self._address("activation_addr"), self.activation_beats,
                    room & self.checked)
            m.d.comb += self.begin.eq(self.regions.valid & self.regions.ready)
            with m.If(self.abort):
                m.next = "ABORT"
            with m.Elif(self.begin):
                m.next = "DESCRIPTOR"
        with m.State("DESCRIPTOR"):
            request(Destination.DESCRIPTOR, self._address("next"), descriptor_beats(self._config), more)
            with m.If(self.abort):
                m.next = "ABORT"
            with m.Elif((self.regions.valid & self.regions.ready) | ~more):
                m.next = "WEIGHTS"
        with m.State("WEIGHTS"):
            request(Destination.WEIGHTS, self._address("weight_addr"), self.weight_beats, 1)
            with m.If(self.abort):
                m.next = "ABORT"
            with m.Elif(self.regions.valid & self.regions.ready & more):
                m.d.sync += [self.fetching.eq(1), self.descriptor_addr.eq(self._address("next"))]
                m.next = "FETCH"
            with m.Elif(self.regions.valid & self.regions.ready):
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
                m.d.comb += self.ended.eq(1)
                m.next = "IDLE"
        with m.State("ABORT"), m.If(~self.abort | self.given_up):
            m.d.comb += self.ended.eq(1)
            m.next = "IDLE"
