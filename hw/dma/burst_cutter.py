"""Burst cutter: cuts regions of memory into AXI bursts that never cross a 4 KB boundary.

AXI4 forbids bursts across an address that is a multiple of 4096 bytes (:data:`~hw.parts.axi.BURST_BYTES`). Both DMAs
keep that rule by :func:`beats_to_boundary`. A region is cut into bursts that are as long as this rule and the engine's
``burst_beats`` allow, so that each of the memory's rows is read at one go.

Latency: a region's first burst is offered :data:`CUTTER_LATENCY` cycles after the region is accepted. Rate: a burst
every :data:`BURST_INTERVAL` cycles, which is faster than the bus can answer them, since all but the last ones of a
region have more beats than that.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.parts.axi import BURST_BYTES, beat_size
from hw.payloads import Destination, region_layout

__all__ = ["BURST_INTERVAL", "CUTTER_LATENCY", "BurstCutter", "beats_to_boundary", "burst_layout"]

CUTTER_LATENCY = 3
"""Cycles from a region to the offer of its first burst: one that stores the region, and two that measure the burst."""
BURST_INTERVAL = 3
"""Cycles between the offers of two bursts of a region when each is accepted at once."""


def beats_to_boundary(m: Module, addr: Signal, bus_bits: int) -> Signal:
    """Beats of ``bus_bits`` from the byte address ``addr``, a multiple of the beat, to the next 4 KB boundary.

    Combinational, in the module ``m``; 1 to a whole 4 KB.
    """
    page_beats = BURST_BYTES // (bus_bits // 8)
    room = Signal(range(page_beats + 1), name="room")
    m.d.comb += room.eq(page_beats - addr[beat_size(bus_bits):12])
    return room


def burst_layout(config: EngineConfig) -> data.StructLayout:
    """A read burst: its byte address ``addr``, its length in ``beats``, whom it is for (``to``), and whether it is the
    ``final`` one of its region."""
    return data.StructLayout({"addr": config.addr_bits, "beats": range(config.burst_beats + 1), "to": Destination,
                              "final": 1})


class BurstCutter(wiring.Component):
    """Regions become bursts, in order.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of region_layout)
        A region is accepted when the final burst of the one before has been. A region of 0 beats makes no burst, and
        takes 2 cycles.
    o : Out(stream of burst_layout)
        An abort withdraws the burst on offer.
    abort : In(1)
        While it is 1, no burst is offered and regions are dropped: that in work, and those that are accepted.
    busy : Out(1)
        Not all bursts of the region in work have been accepted.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(region_layout(config))),
            "o": Out(stream.Signature(burst_layout(config))),
            "abort": In(1),
            "busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, burst = self._config, self.o.payload
        # What has not been offered of the region: `left` beats from the address `burst.addr` on.
        left = Signal(range(config.max_beats + 1))
        # Two cycles to measure a burst and one to hand it on: first the most beats that it may have, then its length.
        most, measured = Signal(range(config.burst_beats + 1)), Signal(2)
        room, few = beats_to_boundary(m, burst.addr, config.bus_bits), left[:len(most)]
        final, nothing = Signal(), Signal()
        m.d.comb += [
            final.eq((left[len(most):] == 0) & (few <= most)),
            self.i.ready.eq(~self.busy),
            self.o.valid.eq(measured[1] & ~self.abort),
        ]
        m.d.sync += [
            most.eq(Mux(room < config.burst_beats, room, config.burst_beats)),
            burst.beats.eq(Mux(final, few, most)),
            burst.final.eq(final),
            nothing.eq(left == 0),
            measured.eq(Cat(self.busy, measured[0])),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [
                burst.addr.eq(burst.addr + burst.beats * config.bus_bytes),
                left.eq(left - burst.beats),
                self.busy.eq(~burst.final),
                measured.eq(0),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [burst.addr.eq(self.i.payload.addr), left.eq(self.i.payload.beats),
                         burst.to.eq(self.i.payload.to), self.busy.eq(1)]
        with m.If((measured[0] & nothing) | self.abort):
            m.d.sync += [self.busy.eq(0), measured.eq(0)]
        return m
