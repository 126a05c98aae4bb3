"""Supervisor: ends a run that has gone wrong.

An error, or a memory that has not moved a word for as long as the WATCHDOG register says, raises ``abort``: the DMAs
let go of the bus as AXI4 has it, the datapath is reset, and cause and address are kept. ``abort`` lasts until the bus
is quiet, into the next run if need be, so that no late answer can be mistaken for that run's; and at least
:data:`_LEAST` cycles, so that it outlasts what the datapath, whose reset is a cycle later, still sends.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CAUSES", "Supervisor"]

CAUSES = ("read_error", "write_error", "not_finite", "bad_descriptor", "timeout")
"""What ends a run, as in the STATUS register."""
_LEAST = 4
"""Cycles of ``abort``: two for the datapath's reset to come and go, and two to spare."""


class Supervisor(wiring.Component):
    """Causes, the watchdog and the state of emergency.

    Parameters
    ----------
    addr_bits : int

    Members
    -------
    start, busy : In(1)
        A run starts; is under way.
    read_error, write_error, not_finite, bad_descriptor : In(1)
        Strobes.
    read_addr, write_addr : In(addr_bits)
        Of the bursts under way.
    vector_addr, descriptor_addr : In(addr_bits)
        Of the bursts that ``not_finite`` and ``bad_descriptor`` are about, when these are told.
    progress : In(1)
        Something was transferred.
    limit : In(32)
        Cycles without progress after which a run ends; 0 for never.
    quiet : In(1)
        Nothing is under way on the bus.
    abort : Out(1)
    expired : Out(1)
        The watchdog has.
    status : Out
        A bit for each cause met.
    error_addr : Out(addr_bits)
        Of the burst that was the first to fail.
    """

    def __init__(self, addr_bits):
        address = In(addr_bits)
        super().__init__({
            "start": In(1), "busy": In(1),
            "read_error": In(1), "write_error": In(1), "not_finite": In(1), "bad_descriptor": In(1),
            "read_addr": address, "write_addr": address, "vector_addr": address, "descriptor_addr": address,
            "progress": In(1), "limit": In(32), "quiet": In(1),
            "abort": Out(1), "expired": Out(1),
            "status": Out(data.StructLayout(dict.fromkeys(CAUSES, 1))), "error_addr": Out(addr_bits),
        })

    def elaborate(self, platform):
        m = Module()
        idle, progress, silent = Signal.like(self.limit), Signal(), Signal()
        m.d.sync += [
            progress.eq(self.progress | self.start),
            silent.eq((self.limit != 0) & (idle == self.limit) & ~self.start & ~progress),
        ]
        m.d.comb += self.expired.eq(silent & ~progress)
        with m.If(progress):
            m.d.sync += idle.eq(0)
        with m.Elif(self.busy & (idle != self.limit)):
            m.d.sync += idle.eq(idle + 1)

        # Strobes and where they come from rest for a cycle.
        place = Signal.like(self.read_addr, reset_less=True)
        errors = Signal(len(CAUSES) - 1)
        m.d.sync += [
            errors.eq(Mux(self.busy, Cat(self.read_error, self.write_error, self.not_finite, self.bad_descriptor),
                          0)),
            place.eq(Mux(self.not_finite, self.vector_addr, Mux(
                self.write_error, self.write_addr, Mux(self.bad_descriptor, self.descriptor_addr, self.read_addr)))),
        ]
        lasted = Signal(_LEAST - 1)
        m.d.sync += lasted.eq(Mux(self.abort, Cat(self.abort, lasted), 0))
        with m.If(lasted[-1] & self.quiet):
            m.d.sync += self.abort.eq(0)
        with m.If(self.start):
            m.d.sync += self.status.eq(0)
        with m.Elif(self.busy & (self.expired | ~self.abort & errors.any())):
            m.d.sync += [
                self.abort.eq(1),
                self.status.eq(self.status.as_value() | Cat(Mux(self.abort, 0, errors), self.expired)),
            ]
            with m.If(~self.status.as_value().any()):
                m.d.sync += self.error_addr.eq(place)
        return m
