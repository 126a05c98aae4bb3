"""Read DMA: fetches regions of memory over AXI4, one beat a cycle.

Each request is cut into INCR bursts, as long as possible, that never cross a 4 KB boundary; so a region is read in
order, and each of the memory's rows at one go. Up to ``outstanding`` bursts are under way at once; requests follow each
other without a gap. Data return in order; each beat goes where its region belongs.

After an error the DMA asks for nothing more and swallows what it has asked for.

Latency: a burst is asked for 4 cycles after its request; data pass straight through, or, in a fast engine, through a
slice.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.config import EngineConfig
from hw.parts.axi import BURST_BYTES, AXI4ReadSignature, Burst, Resp, beat_size
from hw.parts.stream_slice import sliced
from hw.payloads import Destination, packed_layout, region_layout

__all__ = ["ReadDma"]


class ReadDma(wiring.Component):
    """AXI4 read master.

    Members
    -------
    i : In(stream of region_layout)
        Regions to fetch, in order; one of 0 beats takes 2 cycles.
    activations, descriptor : Out(streams of bus_bits)
    weights : Out(stream of packed_layout)
    axi : Out(AXI4ReadSignature)
    abort : In(1)
        Forget the region; what has been asked for is taken and dropped.
    idle : Out(1)
        Nothing is under way.
    ending : Out(1)
        At most one burst is under way, and none is to follow of this region.
    error : Out(1)
        The beat on offer by the bus has a response other than OKAY.
    addr : Out(addr_bits)
        Address of the oldest burst under way: that of the beat on offer by the bus.
    beat_addr : Out(addr_bits)
        Address of the burst of the beat on offer to its stream.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(region_layout(config))),
            "activations": Out(stream.Signature(config.bus_bits)),
            "weights": Out(stream.Signature(packed_layout(config.bus_bits))),
            "descriptor": Out(stream.Signature(config.bus_bits)),
            "axi": Out(AXI4ReadSignature(config.addr_bits, config.bus_bits)),
            "abort": In(1),
            "idle": Out(1),
            "ending": Out(1),
            "error": Out(1),
            "addr": Out(config.addr_bits),
            "beat_addr": Out(config.addr_bits),
        })

    def elaborate(self, platform):
        m = Module()
        bus_bytes, outstanding = self._config.bus_bytes, self._config.outstanding
        ar, r = self.axi.ar, self.axi.r

        # Cut: `addr` and `left` are what of the region has not been asked for; `asking`: there is some.
        asking = Signal()
        addr, left, to = Signal(self._config.addr_bits), Signal(range(self._config.max_beats + 1)), Signal(Destination)
        page_beats = BURST_BYTES // bus_bytes
        room, most = Signal(range(page_beats + 1)), Signal(range(self._config.burst_beats + 1))
        length, final, nothing, measured = Signal.like(most), Signal(), Signal(), Signal(2)
        few = left[:len(most)]
        last = (left[len(most):] == 0) & (few <= most)
        m.d.comb += [
            room.eq(page_beats - addr[beat_size(self._config.bus_bits):12]),
            self.i.ready.eq(~asking),
        ]
        # Two cycles to measure a burst and one to ask for it: it has more beats than that, but for a region's end.
        m.d.sync += [
            most.eq(Mux(room < self._config.burst_beats, room, self._config.burst_beats)),
            length.eq(Mux(last, few, most)),
            final.eq(last),
            nothing.eq(left == 0),
            measured.eq(Cat(asking, measured[0])),
        ]
        offer = Signal()
        # Bursts that may still be asked for, less one, so that the sign tells that there are none.
        left_bursts = Signal(signed(ceil_log2(outstanding) + 1), init=outstanding - 1)
        # One burst is held at the output, so that ARVALID never waits for ARREADY nor is withdrawn.
        m.d.comb += offer.eq(measured[1] & (~ar.valid | ar.ready) & (left_bursts >= 0) & ~self.abort)
        with m.If(ar.ready):
            m.d.sync += ar.valid.eq(0)
        with m.If(offer):
            m.d.sync += [
                ar.valid.eq(1),
                ar.payload.addr.eq(addr),
                ar.payload.len.eq(length - 1),
                addr.eq(addr + length * bus_bytes),
                left.eq(left - length),
                asking.eq(~final),
                measured.eq(0),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [addr.eq(self.i.payload.addr), left.eq(self.i.payload.beats), to.eq(self.i.payload.to),
                         asking.eq(1)]
        with m.If((measured[0] & nothing) | self.abort):
            m.d.sync += [asking.eq(0), measured.eq(0)]
        m.d.comb += [ar.payload.size.eq(beat_size(self._config.bus_bits)), ar.payload.burst.eq(Burst.INCR)]

        # What is known of each burst under way. An answer cannot come before its tag is through the FIFO.
        tag_layout = data.StructLayout({"addr": self._config.addr_bits, "to": Destination, "final": 1})
        m.submodules.tags = tags = SyncFIFOBuffered(width=tag_layout.size, depth=outstanding + 1)
        asked, tag = Signal(tag_layout), data.View(tag_layout, tags.r_data)
        transfer = Signal()
        layout = data.StructLayout({"data": self._config.bus_bits, "last": 1, "to": Destination,
                                    "addr": self._config.addr_bits})
        arriving = stream.Signature(layout).create()
        m.d.comb += [
            asked.addr.eq(addr),
            asked.to.eq(to),
            asked.final.eq(final),
            tags.w_data.eq(asked),
            tags.w_en.eq(offer),
            tags.r_en.eq(transfer & r.payload.last),
            transfer.eq(r.valid & r.ready),
            r.ready.eq(tags.r_rdy & (arriving.ready | self.abort)),
            arriving.valid.eq(tags.r_rdy & r.valid & ~self.abort),
            arriving.payload.data.eq(r.payload.data),
            arriving.payload.last.eq(r.payload.last & tag.final),
            arriving.payload.to.eq(tag.to),
            arriving.payload.addr.eq(tag.addr),
            self.error.eq(tags.r_rdy & r.valid & (r.payload.resp != Resp.OKAY)),
            self.addr.eq(tag.addr),
            self.idle.eq(~asking & (left_bursts == outstanding - 1)),
            self.ending.eq(~asking & (left_bursts >= outstanding - 2)),
        ]
        # Beats rest on their way from the bus to all over the device, and nothing leads straight back.
        beat = sliced(m, "slice", arriving, self._config.pipelining.read)
        m.d.comb += [
            self.activations.payload.eq(beat.payload.data),
            self.descriptor.payload.eq(beat.payload.data),
            self.weights.payload.data.eq(beat.payload.data),
            self.weights.payload.last.eq(beat.payload.last),
            self.beat_addr.eq(beat.payload.addr),
        ]
        with m.Switch(beat.payload.to):
            for to, sink in ((Destination.ACTIVATIONS, self.activations), (Destination.WEIGHTS, self.weights),
                             (Destination.DESCRIPTOR, self.descriptor)):
                with m.Case(to):
                    m.d.comb += [sink.valid.eq(beat.valid & ~self.abort), beat.ready.eq(sink.ready | self.abort)]
        m.d.sync += left_bursts.eq(left_bursts - offer + (transfer & r.payload.last))
        return m
