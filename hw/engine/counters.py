"""Performance counters of a run: where its cycles went, and what crossed the bus.

Every cycle of a run belongs to one of the five classes of :mod:`hw.registers.cycle_classes`:
``beats + starved + refresh + stalled + drain == cycles``.

Latency: a counter shows an event two cycles after the cycle in which it happened, and is cleared two cycles after the
start strobe. Rate: one event of each kind a cycle.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.registers.register_map import COUNTERS

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Event counters, which are cleared when a run starts and keep their values when it ends. When ``cycles`` has
    reached 2**32 - 1, all stop.

    Members
    -------
    start : In(1)
        Strobe: a run starts in the next cycle.
    busy : In(1)
        A run is under way, and the cycle counts.
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

    def __init__(self) -> None:
        inputs = ("start", "busy", "reading", "refreshing", "read_valid", "read_ready", "write_beat")
        super().__init__({**{name: In(1) for name in inputs}, **{name: Out(32) for name in COUNTERS}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting = self.busy & ~self.read_valid & self.reading
        events = {
            "cycles": self.busy,
            "starved": waiting & ~self.refreshing,
            "refresh": waiting & self.refreshing,
            "stalled": self.busy & self.read_valid & ~self.read_ready,
            "drain": self.busy & ~self.read_valid & ~self.reading,
            "beats": self.busy & self.read_valid & self.read_ready,
            "write_beats": self.busy & self.write_beat,
        }
        # No event of a run is in its register yet when the counters are cleared, a cycle late too: a strobe that
        # reached all of them at once would be on the slowest path of a large device.
        full, cleared = self.cycles.all(), Signal()
        m.d.sync += cleared.eq(self.start)
        for name, event in events.items():
            counter, happened = getattr(self, name), Signal(name=f"{name}_event")
            m.d.sync += happened.eq(event)
            with m.If(cleared):
                m.d.sync += counter.eq(0)
            with m.Elif(happened & ~full):
                m.d.sync += counter.eq(counter + 1)
        return m
