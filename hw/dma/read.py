"""Read DMA: fetches regions of memory over AXI4 and hands each beat to the stream that its region is for.

    regions --> burst cutter --> AR            R --> routing --> activations, weights or descriptor
                     |                               ^
                     `--> tags of outstanding bursts -'

The burst cutter (:mod:`hw.dma.burst_cutter`) makes INCR bursts that keep AXI's 4 KB rule. The engine's ``outstanding``
limits the number of bursts that are requested and not yet answered. Memory answers in order, so the oldest tag belongs
to the beat that arrives. A burst is completed by the beat that memory marks as the last one (RLAST). The tag
says how many beats were requested, so a mark in another place is found, and so is a beat that was not requested at all.

An abort, which follows any error, ends all requests. The beats of outstanding bursts are then received and dropped.
Beats that arrive while nothing is outstanding are always received and dropped.

Latency: ARVALID rises :data:`REQUEST_LATENCY` cycles after a region is accepted. A beat reaches its stream
:func:`read_latency` cycles after it is received. Rate: one beat a cycle, also from one region to the next.
"""

from amaranth.hdl import Module, Mux, ResetInserter, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.config import EngineConfig
from hw.dma.burst_cutter import CUTTER_LATENCY, BurstCutter
from hw.parts.axi import AXI4ReadSignature, Burst, Resp, beat_size
from hw.parts.stream_slice import StreamSlice, sliced
from hw.payloads import Destination, packed_layout, region_layout

__all__ = ["REQUEST_LATENCY", "ReadDma", "read_latency"]

REQUEST_LATENCY = CUTTER_LATENCY + 1
"""Cycles from a region to ARVALID for its first burst, and from one region's last request to the first of the next:
those of the burst cutter and one for the register of AR."""


def read_latency(config: EngineConfig) -> int:
    """Cycles from a beat on the bus to the stream that it is for."""
    return config.pipelining.read * StreamSlice.latency


def _beat_layout(config: EngineConfig) -> data.StructLayout:
    """A beat's ``data``, whether it is the ``last`` of its region, whom it is for, and the address of its burst."""
    return data.StructLayout({"data": config.bus_bits, "last": 1, "to": Destination, "addr": config.addr_bits})


class ReadDma(wiring.Component):
    """AXI4 read master.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of region_layout)
        Regions to fetch, in order. One of 0 beats takes 2 cycles.
    activations, descriptor : Out(streams of bus_bits)
    weights : Out(stream of packed_layout)
    axi : Out(AXI4ReadSignature)
    abort : In(1)
        While it is 1, regions are dropped, no burst is requested, and beats are received and dropped.
    forget : In(1)
        Strobe, in an abort only: the outstanding bursts are forgotten, as if memory had answered them. A burst whose
        address is on offer would be forgotten too, so ``requesting`` has to be 0.
    requesting : Out(1)
        The address of a burst is on offer.
    idle : Out(1)
        No burst is outstanding, and none is to follow of the region in work.
    ending : Out(1)
        At most one burst is outstanding, and none is to follow of the region in work.
    error : Out(1)
        The beat that the bus offers belongs to a burst and has a response other than OKAY.
    addr : Out(addr_bits)
        Byte address of the oldest outstanding burst, to which the beat belongs that the bus offers.
    protocol : Out(1)
        Strobe, in the cycle after a beat that breaks a rule: the beat is the last of its burst and not marked as such,
        it is marked and not the last, or memory offered it before it had accepted the address of any outstanding burst.
    protocol_addr : Out(addr_bits)
        Byte address of the burst that ``protocol`` is about, in the cycle of that strobe; 0 for a beat that was not
        requested.
    beat_addr : Out(addr_bits)
        Byte address of the burst to which the beat belongs that is offered to its stream.
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
            "forget": In(1),
            "requesting": Out(1),
            "idle": Out(1),
            "ending": Out(1),
            "error": Out(1),
            "addr": Out(config.addr_bits),
            "protocol": Out(1),
            "protocol_addr": Out(config.addr_bits),
            "beat_addr": Out(config.addr_bits),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        outstanding = self._config.outstanding
        m.submodules.cutter = cutter = BurstCutter(self._config)
        wiring.connect(m, wiring.flipped(self.i), cutter.i)
        requested, completed = Signal(), Signal()
        # Bursts that may still be requested, less one, so that the sign tells that there are none.
        credits = Signal(signed(ceil_log2(outstanding) + 1), init=outstanding - 1)
        # Nothing is outstanding. It is a register of its own, because it leads to RREADY.
        nothing, one = Signal(init=1), Signal()
        m.d.sync += [
            credits.eq(credits - requested + completed),
            nothing.eq(~requested & (nothing | (one & completed))),
        ]
        with m.If(self.forget):
            m.d.sync += [credits.eq(credits.init), nothing.eq(1)]
        ar = self.axi.ar
        m.d.comb += [
            one.eq(credits == outstanding - 2),
            cutter.abort.eq(self.abort),
            cutter.o.ready.eq((~ar.valid | ar.ready) & (credits >= 0)),
            requested.eq(cutter.o.valid & cutter.o.ready),
            self.requesting.eq(ar.valid),
            self.idle.eq(~cutter.busy & nothing),
            self.ending.eq(~cutter.busy & (nothing | one)),
        ]
        self._request(m, requested, cutter.o.payload)
        unasked = nothing | (one & ar.valid & ~ar.ready)
        arriving = self._receive(m, requested, cutter.o.payload, completed, nothing, unasked)
        # Beats rest on their way from the bus to all over the device, and nothing leads straight back.
        self._route(m, sliced(m, "slice", arriving, self._config.pipelining.read))
        return m

    def _request(self, m: Module, requested: Signal, burst: data.View) -> None:
        """Address channel. It holds one burst, so that ARVALID never waits for ARREADY nor is withdrawn."""
        ar = self.axi.ar
        with m.If(ar.ready):
            m.d.sync += ar.valid.eq(0)
        with m.If(requested):
            m.d.sync += [ar.valid.eq(1), ar.payload.addr.eq(burst.addr), ar.payload.len.eq(burst.beats - 1)]
        m.d.comb += [ar.payload.size.eq(beat_size(self._config.bus_bits)), ar.payload.burst.eq(Burst.INCR)]

    def _receive(self, m: Module, requested: Signal, burst: data.View, completed: Signal, nothing: Signal,
                 unasked: Value) -> stream.Interface:
        """Data channel: what is known of each outstanding burst joins its beats, which are returned.

        An answer cannot come before its burst is through the FIFO. ``completed`` is driven: the last beat of the oldest
        outstanding burst is received. ``nothing`` is outstanding; a beat on offer is ``unasked`` for.
        """
        config, r = self._config, self.axi.r
        tag_layout = data.StructLayout({"addr": config.addr_bits, "len": range(config.burst_beats), "to": Destination,
                                        "final": 1})
        tags = SyncFIFOBuffered(width=tag_layout.size, depth=config.outstanding + 1)
        m.submodules.tags = ResetInserter(self.forget)(tags)
        newest, oldest = data.View(tag_layout, tags.w_data), data.View(tag_layout, tags.r_data)
        arriving = stream.Signature(_beat_layout(config)).create()
        received = Signal()  # a beat of the oldest outstanding burst
        m.d.comb += [
            *(newest[name].eq(burst[name]) for name in ("addr", "to", "final")),
            newest.len.eq(burst.beats - 1),
            tags.w_en.eq(requested),
            tags.r_en.eq(completed),
            received.eq(tags.r_rdy & r.valid & r.ready),
            completed.eq(received & r.payload.last),
            r.ready.eq(nothing | self.abort | (tags.r_rdy & arriving.ready)),
            arriving.valid.eq(tags.r_rdy & r.valid & ~self.abort),
            arriving.payload.data.eq(r.payload.data),
            arriving.payload.last.eq(r.payload.last & oldest.final),
            arriving.payload.to.eq(oldest.to),
            arriving.payload.addr.eq(oldest.addr),
            self.error.eq(tags.r_rdy & r.valid & (r.payload.resp != Resp.OKAY)),
            self.addr.eq(oldest.addr),
        ]
        place = Signal.like(oldest.len)  # of the next beat in the oldest outstanding burst
        with m.If(received):
            m.d.sync += place.eq(place + 1)
        with m.If(completed | self.forget):
            m.d.sync += place.eq(0)
        m.d.sync += [
            self.protocol.eq((received & (r.payload.last != (place == oldest.len))) | (r.valid & unasked)),
            self.protocol_addr.eq(Mux(unasked, 0, oldest.addr)),
        ]
        return arriving

    def _route(self, m: Module, beat: stream.Interface) -> None:
        """Each beat goes to the stream that its region is for; in an abort it is dropped."""
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
