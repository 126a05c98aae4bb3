"""The engine: multiplies matrices in memory by vectors in memory, over AXI4.

    AXI4 read --> read DMA --> activations
                    |  |            v
                    |  `-----> unpacker --> join --> lanes --> results
                    v                                            |
          descriptor reader --> registers --> sequencer          |
                                    `--> checker --^             |
                                                                 |
    AXI4 write <-- write DMA <-----------------------------------'

The engines for int4 and FP16 are this one with other lanes; that for FP16 has no align stage.

Latency: that of the stages, which :mod:`hw.engine.latency` adds up. Rate: one beat of the memory bus a cycle, which is
as much as the bus can deliver, unless refreshes, writes or groups of rows shorter than the lanes' pipeline intervene.
"""

from collections.abc import Callable
from functools import partial

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, Mux, ResetSignal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.activations.activations import Activations
from hw.activations.buffer import exponent_latency
from hw.config import EngineConfig
from hw.dma.descriptor import DescriptorReader, beat_words
from hw.dma.read import ReadDma
from hw.dma.unpacker import Unpacker
from hw.dma.write import WriteDma
from hw.engine.checker import Checker
from hw.engine.counters import Counters
from hw.engine.latency import groups_outstanding
from hw.engine.sequencer import IN_FLIGHT, Sequencer
from hw.engine.supervisor import FINDINGS, Supervisor
from hw.lanes.join import Join
from hw.lanes.lanes import lane
from hw.parts.axi import AXI4LiteSignature, AXI4Signature
from hw.parts.delay import delayed, own_copy
from hw.parts.stream_queue import StreamQueue
from hw.payloads import job_layout
from hw.registers.register_map import (
    ADDR_BITS,
    COUNTERS,
    DESCRIPTOR_REGISTERS,
    ERRORS,
    ID,
    Status,
    capability,
    identity,
)
from hw.registers.registers import RegisterFile
from hw.rounding.rounding import Rounding

__all__ = ["Engine"]

_Stage = Callable[[str, wiring.Component], wiring.Component]
"""Adds a component to the engine under a name, as :meth:`Engine._stage` does."""


class Engine(wiring.Component):
    """Everything between the memory bus and the register bus.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    axi : Out(AXI4Signature)
        To memory.
    axil : In(AXI4LiteSignature)
        To the registers, see :mod:`hw.registers.register_map`.
    irq : Out(1)
        An interrupt is pending and enabled.
    done : Out(1)
        The last run has ended.
    refreshing : In(1)
        Memory delivers no beat because it refreshes itself. Only the counters use it; 0 where memory does not report
        it.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "axi": Out(AXI4Signature(config.addr_bits, config.bus_bits)),
            "axil": In(AXI4LiteSignature(ADDR_BITS)),
            "irq": Out(1),
            "done": Out(1),
            "refreshing": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.registers = registers = RegisterFile(config.addr_bits, beat_words(config))
        m.submodules.checker = checker = Checker(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.supervisor = supervisor = Supervisor(config)
        m.submodules.counters = counters = Counters()
        m.submodules.read_dma = read_dma = ReadDma(config)
        m.submodules.write_dma = write_dma = WriteDma(config)
        # A run begins with a clean datapath, whatever was before.
        stage = partial(self._stage, m, supervisor.abort | ~sequencer.busy)
        descriptor = stage("descriptor", DescriptorReader(config, identity(config)))
        bases = stage("bases", StreamQueue(config.addr_bits, IN_FLIGHT))
        activations, results = self._datapath(m, stage, read_dma.weights)
        jobs = stage("jobs", StreamQueue(job_layout(config), 2))

        wiring.connect(m, sequencer.regions, read_dma.i)
        wiring.connect(m, read_dma.descriptor, descriptor.i)
        wiring.connect(m, sequencer.bases, bases.i)
        wiring.connect(m, bases.o, write_dma.bases)
        wiring.connect(m, sequencer.jobs, jobs.i)
        wiring.connect(m, jobs.o, activations.jobs)
        wiring.connect(m, read_dma.activations, activations.i)
        wiring.connect(m, results.o, write_dma.i)
        self._bus(m, read_dma, write_dma)

        self._sequence(m, registers, sequencer, descriptor)
        self._check(m, registers, checker, sequencer, supervisor)
        m.d.comb += [
            sequencer.written.eq(write_dma.done),
            sequencer.read_idle.eq(read_dma.idle),
            write_dma.flush.eq(sequencer.all_requested & read_dma.ending),
            supervisor.not_finite.eq(activations.not_finite),
            supervisor.bad_descriptor.eq(descriptor.bad),
            supervisor.aborted.eq(registers.abort),
            supervisor.limit.eq(registers.watchdog),
        ]
        self._supervise(m, sequencer, supervisor, read_dma, write_dma)
        self._count(m, registers, sequencer, supervisor, counters)
        self._report(m, registers, sequencer, supervisor)
        return m

    def _stage(self, m: Module, clear: Value, name: str, component: wiring.Component) -> wiring.Component:
        """Add a submodule that ``clear`` resets, and return it.

        Each such submodule holds its reset in a register of its own, because one net to all of them would be the
        slowest of the engine.
        """
        reset = own_copy(m, ResetSignal() | clear, f"reset_{name}", self._config.pipelining.apart)
        m.domains += ClockDomain(name, local=True)
        m.d.comb += [ClockSignal(name).eq(ClockSignal()), ResetSignal(name).eq(reset)]
        m.submodules[name] = DomainRenamer(name)(component)
        return component

    def _datapath(self, m: Module, stage: _Stage, weights: stream.Interface) -> tuple[Activations, Rounding]:
        """Add everything from the beats of ``weights`` and of activations to results; return both ends of it."""
        config, groups = self._config, groups_outstanding(self._config)
        activations, results = stage("activations", Activations(config)), stage("results", Rounding(config, groups))
        unpacker = stage("unpacker", Unpacker(config.bus_bits, config.word_bits, config.pipelining.unpacker))
        join = stage("join", Join(config, groups))
        wiring.connect(m, weights, unpacker.i)
        wiring.connect(m, unpacker.o, join.blocks)
        wiring.connect(m, activations.o, join.activations)
        wiring.connect(m, activations.matrices, results.matrices)

        # The lanes work in step, so one of them says for all when there are sums.
        lanes = [stage(f"lane{i}", lane(config)) for i in range(config.lanes)]
        for i, each in enumerate(lanes):
            wiring.connect(m, join.o[i], each.i)
            m.d.comb += [results.i.payload[i].eq(each.o.payload), each.o.ready.eq(results.i.ready)]
        m.d.comb += [results.i.valid.eq(lanes[0].o.valid), join.drained.eq(results.drained)]
        return activations, results

    def _bus(self, m: Module, read_dma: ReadDma, write_dma: WriteDma) -> None:
        """Connect the channels of the two DMAs to the one port."""
        bus = self.axi
        for channel in ("ar", "aw", "w"):
            source = getattr(read_dma.axi if channel == "ar" else write_dma.axi, channel)
            wiring.connect(m, source, wiring.flipped(getattr(bus, channel)))
        for channel in ("r", "b"):
            sink = getattr(read_dma.axi if channel == "r" else write_dma.axi, channel)
            wiring.connect(m, wiring.flipped(getattr(bus, channel)), sink)

    def _sequence(self, m: Module, registers: RegisterFile, sequencer: Sequencer, descriptor: DescriptorReader) -> None:
        """Connect the sequencer to the registers, and both to the descriptors from memory."""
        wiring.connect(m, wiring.flipped(self.axil), registers.axil)
        m.d.comb += [
            self.irq.eq(registers.irq),
            self.done.eq(sequencer.done),
            registers.busy.eq(sequencer.busy),
            registers.ended.eq(sequencer.ended),
            sequencer.request.eq(registers.start),
            *(getattr(sequencer, name.lower()).eq(getattr(registers, name.lower())) for name in DESCRIPTOR_REGISTERS),
            sequencer.fetched.eq(descriptor.done),
            descriptor.enable.eq(sequencer.fetching),
            registers.words.eq(descriptor.words),
            registers.load.eq(descriptor.load),
        ]

    def _check(self, m: Module, registers: RegisterFile, checker: Checker, sequencer: Sequencer,
               supervisor: Supervisor) -> None:
        """Connect the checker to the registers, and its findings to the sequencer and to the supervisor."""
        m.d.comb += [
            *(getattr(checker, name.lower()).eq(getattr(registers, name.lower())) for name in DESCRIPTOR_REGISTERS),
            checker.excess.eq(registers.excess),
            checker.start.eq(~sequencer.busy),
            checker.load.eq(sequencer.loaded),
            checker.begin.eq(sequencer.begin),
            sequencer.checked.eq(checker.checked),
            sequencer.refused.eq(checker.refused),
            *(getattr(supervisor, name).eq(getattr(checker, name)) for name in FINDINGS),
            supervisor.descriptor_addr.eq(sequencer.descriptor_addr),
            supervisor.checked_addr.eq(checker.address),
        ]

    def _supervise(self, m: Module, sequencer: Sequencer, supervisor: Supervisor, read_dma: ReadDma,
                   write_dma: WriteDma) -> None:
        """Connect the supervisor to the bus and to what it stops.

        The address of a beat of a vector is delayed until an error in it is found.
        """
        bus = self.axi
        vector_addr = delayed(m, read_dma.beat_addr, exponent_latency(self._config), "vector_addr", reset_less=True)
        channels = (bus.ar, bus.r, bus.aw, bus.w, bus.b)
        m.d.comb += [
            supervisor.start.eq(sequencer.start),
            supervisor.busy.eq(sequencer.busy),
            supervisor.read_error.eq(read_dma.error),
            supervisor.write_error.eq(write_dma.error),
            supervisor.protocol_error.eq(read_dma.protocol | write_dma.protocol),
            supervisor.read_addr.eq(read_dma.addr),
            supervisor.write_addr.eq(write_dma.addr),
            supervisor.protocol_addr.eq(Mux(read_dma.protocol, read_dma.protocol_addr, 0)),
            supervisor.vector_addr.eq(vector_addr),
            supervisor.reading.eq(~read_dma.idle),
            supervisor.quiet.eq(read_dma.idle & write_dma.idle),
            supervisor.offering.eq(read_dma.requesting | write_dma.sending),
            supervisor.progress.eq(Cat(channel.valid & channel.ready for channel in channels).any()),
            sequencer.abort.eq(supervisor.abort),
            sequencer.failed.eq(supervisor.failed),
            sequencer.given_up.eq(supervisor.given_up),
            *(dma.abort.eq(supervisor.abort) for dma in (read_dma, write_dma)),
            *(dma.forget.eq(supervisor.forget) for dma in (read_dma, write_dma)),
        ]

    def _count(self, m: Module, registers: RegisterFile, sequencer: Sequencer, supervisor: Supervisor,
               counters: Counters) -> None:
        """Connect the counters to the bus and to their registers. Beats that an abort drops are not counted."""
        bus = self.axi
        m.d.comb += [
            counters.start.eq(sequencer.start | sequencer.settled),
            counters.busy.eq(sequencer.counting),
            counters.reading.eq(sequencer.reading),
            counters.refreshing.eq(self.refreshing),
            counters.read_valid.eq(bus.r.valid & ~supervisor.abort),
            counters.read_ready.eq(bus.r.ready),
            counters.write_beat.eq(bus.w.valid & bus.w.ready),
            *(getattr(registers, name).eq(getattr(counters, name)) for name in COUNTERS),
        ]

    def _report(self, m: Module, registers: RegisterFile, sequencer: Sequencer, supervisor: Supervisor) -> None:
        """Drive the registers that say what the engine is and what became of a run."""
        status = Status(registers.status[:Status.size])
        m.d.comb += [
            status.busy.eq(sequencer.busy),
            status.done.eq(sequencer.done),
            *(status[name].eq(supervisor.status[name]) for name in ERRORS),
            status.settling.eq(supervisor.abort),
            Cat(registers.error_addr, registers.error_addr_hi).eq(supervisor.error_addr),
            registers.id.eq(ID),
            registers.format.eq(identity(self._config)),
            registers.capability.eq(capability(self._config)),
        ]
