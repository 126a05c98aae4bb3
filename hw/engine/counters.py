"""Performance counters of a run: where its cycles went, and what crossed the bus.

Every cycle of a run belongs to one of the five classes of :mod:`hw.registers.cycle_classes`:
``beats + starved + refresh + stalled + drain == cycles``.

Latency: a counter shows an event two cycles after the cycle in which it happened. Rate: one event of each kind a cycle.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.registers.register_map import COUNTERS

__all__ = ["Counters"]

class Counters(wiring.Component):
    """Event counters, which are cleared when a run starts and keep their values when it ends.

    Parameters
    ----------
    bus_bytes : int
        Bytes of a beat.

    Members
    -------
    start : In(1)
        Strobe: a run starts in the next cycle.
    busy : In(1)
        A run is under way.
    reading : In(1)
        The last beat of the run has not come yet.
    refreshing : In(1)
        Memory delivers no beat because it refreshes itself.
    read_valid, read_ready : In(1)
        Handshake of the bus's R channel.
    write_beat : In(1)
        Strobe: a beat is written.
    <name> : Out(32) for each name of :data:`~hw.registers.register_map.COUNTERS`
    """

    def __init__(self, bus_bytes: int):
        self._bus_bytes = bus_bytes
        inputs = ("start", "busy", "reading", "refreshing", "read_valid", "read_ready", "write_beat")
        super().__init__({**{name: In(1) for name in inputs}, **{name: Out(32) for name in COUNTERS}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting = self.busy & ~self.read_valid & self.reading
        amounts = (
            (self.cycles, self.busy, 1),
            (self.starved, waiting & ~self.refreshing, 1),
            (self.refresh, waiting & self.refreshing, 1),
            (self.stalled, self.busy & self.read_valid & ~self.read_ready, 1),
            (self.drain, self.busy & ~self.read_valid & ~self.reading, 1),
            (self.beats, self.busy & self.read_valid & self.read_ready, 1),
            (self.bytes_written, self.busy & self.write_beat, self._bus_bytes),
        )
        for counter, event, amount in amounts:
            happened = Signal(name=f"{counter.name}_event")
            m.d.sync += happened.eq(event)
            with m.If(self.start):
                m.d.sync += counter.eq(0)
            with m.Elif(happened):
                m.d.sync += counter.eq(counter + amount)
        m.d.comb += self.bytes_read.eq(self.beats * self._bus_bytes)
        return m
