"""The engine: matrix-vector products out of memory, over AXI4.

    AXI4 read --> read DMA --> activation buffer --> gate --> align --> queue
                    |  |                                                  v
                    |  `-----> unpacker -------------------------------> join --> lanes --> drain
                    v                                                                         |
          descriptor reader --> registers --> sequencer                                       |
                                                                                              |
    AXI4 write <-- write DMA <-- queue <-- scale <-- normalise <-- gate <---------------------'

The int4 control is this same engine with other lanes; the FP16 baseline too, without the align stage.
"""

from amaranth.hdl import Assert, Cat, ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat, GroupFormat
from hw.activation_buffer import ActivationBuffer, job_layout, raw_word
from hw.align import Align
from hw.axi import AXI4LiteSignature, AXI4Signature
from hw.config import EngineConfig
from hw.counters import Counters
from hw.credit_gate import CreditGate
from hw.descriptor import WORDS, DescriptorReader
from hw.drain import Drain, sum_layout
from hw.fp16_lane import Fp16Lane
from hw.int4_lane import Int4Lane
from hw.join import Join
from hw.lane import SeedlmLane
from hw.normalise import Normalise
from hw.read_dma import ReadDma
from hw.registers import ADDR_BITS, ID, RegisterFile, Status, identity
from hw.scale import Scale, result_layout
from hw.sequencer import IN_FLIGHT, Sequencer
from hw.stream_queue import StreamQueue
from hw.supervisor import CAUSES, Supervisor
from hw.unpacker import Unpacker
from hw.write_dma import WriteDma

__all__ = ["Engine"]

_QUEUE = 16
"""Payloads of the queues behind credit gates: more than the pipelines between take cycles."""

_LANES = {BlockFormat: SeedlmLane, GroupFormat: Int4Lane, type(None): Fp16Lane}
"""By type of the weight format."""


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
        Registers, see :mod:`hw.registers`.
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
            would be the slowest of the engine."""
            reset = Signal(name=f"reset_{name}", reset_less=True, attrs={"keep": 1})
            m.d.sync += reset.eq(ResetSignal() | supervisor.abort)
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
        buffer, results = self._datapath(m, stage, read_dma.weights)
        jobs = stage("jobs", StreamQueue(job_layout(config), 2))
        wiring.connect(m, sequencer.jobs, jobs.i)
        wiring.connect(m, jobs.o, buffer.jobs)
        wiring.connect(m, read_dma.activations, buffer.i)
        wiring.connect(m, results, write_dma.i)

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
            write_dma.hurry.eq(sequencer.asked & read_dma.ending),
        ]
        m.d.comb += [
            supervisor.start.eq(sequencer.start),
            supervisor.busy.eq(sequencer.busy),
            supervisor.read_error.eq(read_dma.error),
            supervisor.write_error.eq(write_dma.error),
            supervisor.not_finite.eq(buffer.not_finite),
            supervisor.bad_descriptor.eq(descriptor.bad),
            supervisor.read_addr.eq(read_dma.addr),
            supervisor.beat_addr.eq(read_dma.beat_addr),
            supervisor.write_addr.eq(write_dma.addr),
            supervisor.limit.eq(registers.watchdog),
            supervisor.quiet.eq(read_dma.idle & write_dma.idle),
        ]
        self._observe(m, registers, sequencer, supervisor, counters)
        return m

    def _datapath(self, m, stage, weights):
        """From weights to results, which are returned, with the buffer that activations go to."""
        config = self._config
        buffer = stage("activation_buffer", ActivationBuffer(config))
        unpacker = stage("unpacker", Unpacker(config.bus_bits, config.word_bits))
        join, drain = stage("join", Join(config)), stage("drain", Drain(config))
        wiring.connect(m, weights, unpacker.i)
        wiring.connect(m, unpacker.o, join.blocks)

        align = [stage("align", Align(config))] if config.fmt else []
        gate, queue = self._free_running(m, stage, "activation", raw_word(config), align, config.activation_word)
        wiring.connect(m, buffer.o, gate.i)
        wiring.connect(m, queue.o, join.activations)

        # Lanes, in step with each other.
        lanes = [stage(f"lane{i}", _LANES[type(config.fmt)](config)) for i in range(config.lanes)]
        for i, lane in enumerate(lanes):
            wiring.connect(m, join.o[i], lane.i)
            m.d.comb += [drain.i.payload[i].eq(lane.o.payload), lane.o.ready.eq(drain.i.ready)]
        m.d.comb += [drain.i.valid.eq(lanes[0].o.valid), join.empty.eq(drain.empty)]
        wiring.connect(m, buffer.matrices, drain.matrices)

        numbers = [stage("normalise", Normalise(config)), stage("scale", Scale(config))]
        gate, queue = self._free_running(m, stage, "result", sum_layout(config), numbers, result_layout())
        wiring.connect(m, drain.o, gate.i)
        return buffer, queue.o

    @staticmethod
    def _free_running(m, stage, name, shape, stages, result):
        """Stages between a gate, which takes ``shape``, and a queue of ``result``, so that they never have to stop.

        Where there is no stage, the queue takes the fields of the same names.
        """
        gate = stage(f"{name}_gate", CreditGate(shape, _QUEUE))
        queue = stage(f"{name}_queue", StreamQueue(result, _QUEUE))
        last = gate
        for each in stages:
            wiring.connect(m, last.o, each.i)
            last = each
        m.d.comb += [
            last.o.ready.eq(1),
            queue.i.valid.eq(last.o.valid),
            *(queue.i.payload[field].eq(last.o.payload[field]) for field, _ in result),
            gate.returned.eq(queue.o.valid & queue.o.ready),
        ]
        m.d.sync += Assert(~queue.i.valid | queue.i.ready)
        return gate, queue

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
