"""Performance counters of a run: where its cycles went, and what crossed the bus.

Every cycle of a run is one of five, and ``beats + starved + refresh + stalled + drain == cycles``: a beat came, the
engine waited for memory, for memory's refresh, memory waited for the engine, or, after the last beat, the pipeline
drained and the results were written. Counts are a cycle late.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Event counters, cleared when a run starts and held when it ends.

    Parameters
    ----------
    bus_bytes : int

    Members
    -------
    start : In(1)
    busy : In(1)
        A run is under way.
    reading : In(1)
        Beats are still due.
    refreshing : In(1)
        The memory gives no beat as it refreshes itself.
    read_valid, read_ready, write_beat : In(1)
        Handshakes of the bus.
    cycles, starved, refresh, stalled, drain, beats, bytes_read, bytes_written : Out(32)
    """

    def __init__(self, bus_bytes):
        self._bus_bytes = bus_bytes
        inputs = ("start", "busy", "reading", "refreshing", "read_valid", "read_ready", "write_beat")
        outputs = ("cycles", "starved", "refresh", "stalled", "drain", "beats", "bytes_read", "bytes_written")
        super().__init__({**{name: In(1) for name in inputs}, **{name: Out(32) for name in outputs}})

    def elaborate(self, platform):
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
