"""The engine: matrix-vector products out of memory, over AXI4.

    AXI4 read --> read DMA --> activations
                    |  |            v
                    |  `-----> unpacker --> join --> lanes --> results
                    v                                            |
          descriptor reader --> registers --> sequencer          |
                                                                 |
    AXI4 write <-- write DMA <-----------------------------------'

The int4 control is this same engine with other lanes; the FP16 baseline too, without the align stage.
"""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.activations.activations import Activations
from hw.activations.buffer import exponent_latency
from hw.config import EngineConfig
from hw.dma.descriptor import WORDS, DescriptorReader, descriptor_latency
from hw.dma.read import ReadDma
from hw.dma.unpacker import Unpacker
from hw.dma.write import WriteDma
from hw.engine.counters import Counters
from hw.engine.registers import ADDR_BITS, ID, RegisterFile, Status, identity
from hw.engine.sequencer import IN_FLIGHT, Sequencer
from hw.engine.supervisor import CAUSES, Supervisor
from hw.lanes.join import Join
from hw.lanes.lanes import lane
from hw.parts.axi import AXI4LiteSignature, AXI4Signature
from hw.parts.delay import delayed, own_copy
from hw.parts.stream_queue import StreamQueue
from hw.payloads import job_layout
from hw.results.results import Results

__all__ = ["Engine"]



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
        Registers, see :mod:`hw.engine.registers`.
    irq : Out(1)
        High from the end of a run to the start of the next.
    refreshing : In(1)
        Memory gives no beat as it refreshes itself; for the counters alone, and 0 where it does not tell.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "axi": Out(AXI4Signature(config.addr_bits, config.bus_bits)),
            "axil": In(AXI4LiteSignature(ADDR_BITS)),
            "irq": Out(1),
            "refreshing": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.registers = registers = RegisterFile()
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.supervisor = supervisor = Supervisor(config.addr_bits)
        m.submodules.counters = counters = Counters(config.bus_bytes)
        m.submodules.read_dma = read_dma = ReadDma(config)
        m.submodules.write_dma = write_dma = WriteDma(config)

        def stage(name, component):
            """A submodule that an error puts back to its reset state, by a register of its own: one net to them all
            would be the slowest."""
            reset = own_copy(m, ResetSignal() | supervisor.abort, f"reset_{name}", config.pipelining.apart)
            m.domains += ClockDomain(name, local=True)
            m.d.comb += [ClockSignal(name).eq(ClockSignal()), ResetSignal(name).eq(reset)]
            m.submodules[name] = DomainRenamer(name)(component)
            return component

        descriptor = stage("descriptor", DescriptorReader(config, identity(config)))
        bases = stage("bases", StreamQueue(config.addr_bits, IN_FLIGHT))
        wiring.connect(m, sequencer.regions, read_dma.i)
        wiring.connect(m, read_dma.descriptor, descriptor.i)
        wiring.connect(m, sequencer.bases, bases.i)
        wiring.connect(m, bases.o, write_dma.bases)
        activations, results = self._datapath(m, stage, read_dma.weights)
        jobs = stage("jobs", StreamQueue(job_layout(config), 2))
        wiring.connect(m, sequencer.jobs, jobs.i)
        wiring.connect(m, jobs.o, activations.jobs)
        wiring.connect(m, read_dma.activations, activations.i)
        wiring.connect(m, results.o, write_dma.i)

        self._bus(m, read_dma, write_dma)
        wiring.connect(m, wiring.flipped(self.axil), registers.axil)
        m.d.comb += [
            self.irq.eq(sequencer.done),
            sequencer.request.eq(registers.start),
            *(getattr(sequencer, name.lower()).eq(getattr(registers, name.lower()))
              for name in WORDS if name != "FORMAT"),
            sequencer.fetched.eq(descriptor.done),
            sequencer.written.eq(write_dma.done),
            sequencer.all_read.eq(read_dma.idle),
            sequencer.abort.eq(supervisor.abort),
            sequencer.expired.eq(supervisor.expired),
            descriptor.enable.eq(sequencer.fetching),
            registers.words.eq(descriptor.words),
            registers.load.eq(descriptor.load),
            read_dma.abort.eq(supervisor.abort),
            write_dma.abort.eq(supervisor.abort),
            write_dma.flush.eq(sequencer.asked & read_dma.ending),
        ]
        descriptor_addr = delayed(m, read_dma.beat_addr, descriptor_latency(config), "descriptor_addr", reset_less=True)
        m.d.comb += [
            supervisor.start.eq(sequencer.start),
            supervisor.busy.eq(sequencer.busy),
            supervisor.read_error.eq(read_dma.error),
            supervisor.write_error.eq(write_dma.error),
            supervisor.not_finite.eq(activations.not_finite),
            supervisor.bad_descriptor.eq(descriptor.bad),
            supervisor.read_addr.eq(read_dma.addr),
            supervisor.descriptor_addr.eq(descriptor_addr),
            supervisor.vector_addr.eq(delayed(m, descriptor_addr, exponent_latency(config) - descriptor_latency(config),
                                              "vector_addr", reset_less=True)),
            supervisor.write_addr.eq(write_dma.addr),
            supervisor.limit.eq(registers.watchdog),
            supervisor.quiet.eq(read_dma.idle & write_dma.idle),
        ]
        self._observe(m, registers, sequencer, supervisor, counters)
        return m

    def _datapath(self, m, stage, weights):
        """From weights to results, which are returned, with the path of the activations."""
        config = self._config
        activations, results = stage("activations", Activations(config)), stage("results", Results(config))
        unpacker = stage("unpacker", Unpacker(config.bus_bits, config.word_bits, config.pipelining.unpacker))
        join = stage("join", Join(config))
        wiring.connect(m, weights, unpacker.i)
        wiring.connect(m, unpacker.o, join.blocks)
        wiring.connect(m, activations.o, join.activations)
        wiring.connect(m, activations.matrices, results.matrices)

        # Lanes, in step with each other.
        lanes = [stage(f"lane{i}", lane(config)) for i in range(config.lanes)]
        for i, each in enumerate(lanes):
            wiring.connect(m, join.o[i], each.i)
            m.d.comb += [results.i.payload[i].eq(each.o.payload), each.o.ready.eq(results.i.ready)]
        m.d.comb += [results.i.valid.eq(lanes[0].o.valid), join.empty.eq(results.empty)]
        return activations, results

    def _bus(self, m, read_dma, write_dma):
        """The masters' channels to the one port."""
        bus = self.axi
        for channel in ("ar", "aw", "w"):
            source = getattr(read_dma.axi if channel == "ar" else write_dma.axi, channel)
            wiring.connect(m, source, wiring.flipped(getattr(bus, channel)))
        for channel in ("r", "b"):
            sink = getattr(read_dma.axi if channel == "r" else write_dma.axi, channel)
            wiring.connect(m, wiring.flipped(getattr(bus, channel)), sink)

    def _observe(self, m, registers, sequencer, supervisor, counters):
        """What the host can read, and what is told by the bus."""
        bus, config = self.axi, self._config
        m.d.comb += supervisor.progress.eq(
            Cat(channel.valid & channel.ready for channel in (bus.ar, bus.r, bus.aw, bus.w, bus.b)).any())
        m.d.comb += [
            counters.start.eq(sequencer.start),
            counters.busy.eq(sequencer.busy),
            counters.reading.eq(sequencer.reading),
            counters.refreshing.eq(self.refreshing),
            counters.read_valid.eq(bus.r.valid & ~supervisor.abort),
            counters.read_ready.eq(bus.r.ready),
            counters.write_beat.eq(bus.w.valid & bus.w.ready),
            *(getattr(registers, name).eq(getattr(counters, name)) for name in
              ("cycles", "starved", "refresh", "stalled", "drain", "beats", "bytes_read", "bytes_written")),
        ]
        status = Status(registers.status[:Status.size])
        m.d.comb += [
            status.busy.eq(sequencer.busy),
            status.done.eq(sequencer.done),
            *(status[cause].eq(supervisor.status[cause]) for cause in CAUSES),
            registers.error_addr.eq(supervisor.error_addr),
            registers.id.eq(ID),
            registers.format.eq(identity(config)),
            registers.lanes.eq(config.lanes),
        ]
