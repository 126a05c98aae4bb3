"""The engine: a matrix-vector product out of memory, over AXI4.

    AXI4 read --> read DMA --> router --> activation buffer --> align ---.
                                  |                                      v
                                  `--> unpacker -------------------> join --> lanes --> drain
                                                                                          |
    AXI4 write <-- write DMA <-- scale <-- normalise <------------------------------------'

The int4 control is this same engine with other lanes; the FP16 baseline too, without the align stage.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat, GroupFormat
from hw.activation_buffer import ActivationBuffer
from hw.align import Align
from hw.axi import AXI4LiteSignature, AXI4Signature
from hw.beat_router import BeatRouter
from hw.config import EngineConfig
from hw.counters import Counters
from hw.drain import Drain
from hw.fp16_lane import Fp16Lane
from hw.int4_lane import Int4Lane
from hw.join import Join
from hw.lane import SeedlmLane
from hw.normalise import Normalise
from hw.read_dma import ReadDma
from hw.registers import ADDR_BITS, ID, RegisterFile, Status, identity
from hw.scale import Scale
from hw.sequencer import Sequencer
from hw.unpacker import Unpacker
from hw.write_dma import WriteDma

__all__ = ["Engine"]

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
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "axi": Out(AXI4Signature(config.addr_bits, config.bus_bits)),
            "axil": In(AXI4LiteSignature(ADDR_BITS)),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.registers = registers = RegisterFile()
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.counters = counters = Counters(config.bus_bytes)
        m.submodules.read_dma = read_dma = ReadDma(config)
        m.submodules.router = router = BeatRouter(config)
        m.submodules.activation_buffer = activation_buffer = ActivationBuffer(config)
        m.submodules.unpacker = unpacker = Unpacker(config.bus_bits, config.word_bits)
        m.submodules.join = join = Join(config)
        m.submodules.drain = drain = Drain(config)
        m.submodules.normalise = normalise = Normalise(config)
        m.submodules.scale = scale = Scale(config)
        m.submodules.write_dma = write_dma = WriteDma(config)

        # Memory to lanes.
        wiring.connect(m, sequencer.regions, read_dma.i)
        wiring.connect(m, read_dma.o, router.i)
        wiring.connect(m, router.activations, activation_buffer.i)
        wiring.connect(m, router.weights, unpacker.i)
        wiring.connect(m, unpacker.o, join.blocks)
        if config.fmt:
            m.submodules.align = align = Align(config)
            wiring.connect(m, activation_buffer.o, align.i)
            wiring.connect(m, align.o, join.activations)
            m.d.comb += [
                align.flush.eq(sequencer.start),
                align.shared.eq(activation_buffer.shared),
                scale.shared.eq(activation_buffer.shared),
            ]
        else:
            wiring.connect(m, activation_buffer.o, join.activations)

        # Lanes, in step with each other, to memory.
        lanes = [_LANES[type(config.fmt)](config) for _ in range(config.lanes)]
        for i, lane in enumerate(lanes):
            m.submodules[f"lane{i}"] = lane
            wiring.connect(m, join.o[i], lane.i)
            m.d.comb += [drain.i.payload[i].eq(lane.o.payload), lane.o.ready.eq(drain.i.ready)]
        m.d.comb += [drain.i.valid.eq(lanes[0].o.valid), join.empty.eq(drain.empty)]
        wiring.connect(m, drain.o, normalise.i)
        wiring.connect(m, normalise.o, scale.i)
        wiring.connect(m, scale.o, write_dma.i)

        # The bus.
        bus = self.axi
        for channel in ("ar", "aw", "w"):
            source = getattr(read_dma.axi if channel == "ar" else write_dma.axi, channel)
            wiring.connect(m, source, wiring.flipped(getattr(bus, channel)))
        for channel in ("r", "b"):
            sink = getattr(read_dma.axi if channel == "r" else write_dma.axi, channel)
            wiring.connect(m, wiring.flipped(getattr(bus, channel)), sink)

        # Control and status.
        wiring.connect(m, wiring.flipped(self.axil), registers.axil)
        start = sequencer.start
        read_beat = bus.r.valid & bus.r.ready
        m.d.comb += [
            sequencer.request.eq(registers.start),
            sequencer.read_beat.eq(read_beat),
            sequencer.write_done.eq(write_dma.done),
            *(getattr(sequencer, name).eq(getattr(registers, name)) for name in
              ("activation_addr", "activation_beats", "weight_addr", "weight_beats")),
            router.start.eq(start),
            router.beats.eq(registers.activation_beats),
            activation_buffer.start.eq(start),
            activation_buffer.beats.eq(registers.activation_beats),
            activation_buffer.blocks.eq(registers.blocks),
            unpacker.flush.eq(start),
            join.start.eq(start),
            drain.start.eq(start),
            drain.rows.eq(registers.rows),
            scale.factor_exponent.eq(registers.factor_exponent),
            write_dma.start.eq(start),
            write_dma.base.eq(registers.result_addr),
            self.irq.eq(sequencer.done),
        ]
        m.d.comb += [
            counters.start.eq(start),
            counters.busy.eq(sequencer.busy),
            counters.reading.eq(sequencer.reading),
            counters.read_valid.eq(bus.r.valid),
            counters.read_ready.eq(bus.r.ready),
            counters.write_beat.eq(bus.w.valid & bus.w.ready),
            *(getattr(registers, name).eq(getattr(counters, name)) for name in
              ("cycles", "starved", "stalled", "beats", "bytes_read", "bytes_written")),
            registers.id.eq(ID),
            registers.format.eq(identity(config)),
            registers.lanes.eq(config.lanes),
        ]
        status = Status(registers.status[:Status.size])
        m.d.comb += [
            status.busy.eq(sequencer.busy),
            status.done.eq(sequencer.done),
            status.not_finite.eq(activation_buffer.not_finite),
        ]
        with m.If(start):
            m.d.sync += [status.read_error.eq(0), status.write_error.eq(0)]
        with m.Else():
            m.d.sync += [
                status.read_error.eq(status.read_error | read_dma.error),
                status.write_error.eq(status.write_error | write_dma.error),
            ]
        return m
