"""Read DMA: fetches regions of memory over AXI4, one beat a cycle.

Each request is cut into INCR bursts, as long as possible, that never cross a 4 KB boundary. Up to ``outstanding``
bursts are under way at once; requests follow each other without a gap. Data return in order.

Latency: a burst is asked for 1 cycle after its request; data pass straight through.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import BURST_BYTES, AXI4ReadSignature, Burst, Resp, beat_size
from hw.config import EngineConfig

__all__ = ["ReadDma", "region_layout"]


def region_layout(config: EngineConfig) -> data.StructLayout:
    """A region of memory: byte address ``addr``, a multiple of the beat, and length in ``beats``."""
    return data.StructLayout({"addr": config.addr_bits, "beats": range(config.max_beats + 1)})


class ReadDma(wiring.Component):
    """AXI4 read master.

    Members
    -------
    i : In(stream of region_layout)
        Regions to fetch, in order; a region of 0 beats is skipped.
    o : Out(stream of bus_bits)
        Their beats.
    axi : Out(AXI4ReadSignature)
    error : Out(1)
        Strobe: a beat came with a response other than OKAY.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(region_layout(config))),
            "o": Out(stream.Signature(config.bus_bits)),
            "axi": Out(AXI4ReadSignature(config.addr_bits, config.bus_bits)),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        bus_bytes, outstanding = self._config.bus_bytes, self._config.outstanding
        ar, r = self.axi.ar, self.axi.r

        # Cut: `addr` and `left` are what of the region has not been asked for.
        addr, left = Signal(self._config.addr_bits), Signal(range(self._config.max_beats + 1))
        page_beats = BURST_BYTES // bus_bytes
        room, length = Signal(range(page_beats + 1)), Signal(range(self._config.burst_beats + 1))
        m.d.comb += [
            room.eq(page_beats - addr[beat_size(self._config.bus_bits):12]),
            length.eq(_least(left, room, self._config.burst_beats)),
            self.i.ready.eq(left == 0),
        ]
        offer = Signal()
        pending = Signal(range(outstanding + 1))
        # One burst is held at the output, so that ARVALID never waits for ARREADY nor is withdrawn.
        m.d.comb += offer.eq((left != 0) & (~ar.valid | ar.ready) & (pending != outstanding))
        with m.If(ar.ready):
            m.d.sync += ar.valid.eq(0)
        with m.If(offer):
            m.d.sync += [
                ar.valid.eq(1),
                ar.payload.addr.eq(addr),
                ar.payload.len.eq(length - 1),
                addr.eq(addr + length * bus_bytes),
                left.eq(left - length),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [addr.eq(self.i.payload.addr), left.eq(self.i.payload.beats)]
        m.d.comb += [ar.payload.size.eq(beat_size(self._config.bus_bits)), ar.payload.burst.eq(Burst.INCR)]

        m.d.comb += [
            self.o.valid.eq(r.valid),
            self.o.payload.eq(r.payload.data),
            r.ready.eq(self.o.ready),
        ]
        transfer = Signal()
        m.d.comb += [
            transfer.eq(r.valid & r.ready),
            self.error.eq(transfer & (r.payload.resp != Resp.OKAY)),
        ]
        m.d.sync += pending.eq(pending + offer - (transfer & r.payload.last))
        return m


def _least(left, room, longest):
    """The least of three beat counts."""
    bounded = Mux(room < longest, room, longest)
    return Mux(left < bounded, left, bounded)
