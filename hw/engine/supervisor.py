"""Supervisor: ends a run that has gone wrong, and keeps what went wrong and where.

An error of :data:`~hw.registers.register_map.ERRORS` raises ``abort``, which has three effects:

- The DMAs request nothing more and complete what they have requested, as AXI4 demands.
- The datapath is reset.
- ``status`` and ``error_addr`` keep the errors and the address of the first one until the next run.

``abort`` stays 1 until nothing is outstanding on the bus, into the next run if need be, so that a late response cannot
be mistaken for one of that run. It also lasts at least :data:`_LEAST` cycles, so that it outlasts what the datapath,
whose reset comes a cycle later, still sends.

The watchdog counts the cycles of a run in which nothing is transferred on the bus. When it reaches the limit, the run
fails with a timeout, and the bus is not waited for any longer.

Latency: ``abort`` rises two cycles after the strobe of an error.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.registers.register_map import ERRORS

__all__ = ["Supervisor"]

_LEAST = 4
"""Cycles of ``abort``: two in which the datapath's reset comes and goes, and two to spare."""


class Supervisor(wiring.Component):
    """Errors, the watchdog, and the abort of a run.

    Parameters
    ----------
    addr_bits : int
        Width of a byte address.

    Members
    -------
    start : In(1)
        Strobe: a run starts in the next cycle.
    busy : In(1)
        A run is under way.
    read_error, write_error, not_finite, bad_descriptor : In(1)
        Strobes: the error of this name has happened.
    read_addr, write_addr : In(addr_bits)
        Byte addresses of the oldest outstanding bursts.
    vector_addr, descriptor_addr : In(addr_bits)
        Byte addresses of the bursts that ``not_finite`` and ``bad_descriptor`` are about, in the cycle of the strobe.
    progress : In(1)
        Something is transferred on the bus.
    limit : In(32)
        Cycles without progress after which the watchdog ends a run; 0 switches it off.
    quiet : In(1)
        Nothing is outstanding on the bus.
    abort : Out(1)
        The run has failed, or responses to a failed run are outstanding.
    expired : Out(1)
        1 once the watchdog has counted to its limit, until there is progress or a run starts.
    status : Out(struct of a bit for each of ERRORS)
        The errors that ended the run: the first, those of the same cycle, and a later timeout.
    error_addr : Out(addr_bits)
        Byte address of the burst that the first error is about; for a timeout, ``read_addr``.
    """

    def __init__(self, addr_bits: int):
        address = In(addr_bits)
        super().__init__({
            "start": In(1), "busy": In(1),
            "read_error": In(1), "write_error": In(1), "not_finite": In(1), "bad_descriptor": In(1),
            "read_addr": address, "write_addr": address, "vector_addr": address, "descriptor_addr": address,
            "progress": In(1), "limit": In(32), "quiet": In(1),
            "abort": Out(1), "expired": Out(1),
            "status": Out(data.StructLayout(dict.fromkeys(ERRORS, 1))), "error_addr": Out(addr_bits),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        idle_cycles, progress, silent = Signal.like(self.limit), Signal(), Signal()
        m.d.sync += [
            progress.eq(self.progress | self.start),
            silent.eq((self.limit != 0) & (idle_cycles == self.limit) & ~self.start & ~progress),
        ]
        m.d.comb += self.expired.eq(silent & ~progress)
        with m.If(progress):
            m.d.sync += idle_cycles.eq(0)
        with m.Elif(self.busy & (idle_cycles != self.limit)):
            m.d.sync += idle_cycles.eq(idle_cycles + 1)

        # Strobes and addresses are registered, because they come from all over the device.
        failed_addr = Signal.like(self.read_addr, reset_less=True)
        errors = Signal(len(ERRORS) - 1)
        m.d.sync += [
            errors.eq(Mux(self.busy, Cat(self.read_error, self.write_error, self.not_finite, self.bad_descriptor),
                          0)),
            failed_addr.eq(Mux(self.not_finite, self.vector_addr, Mux(
                self.write_error, self.write_addr, Mux(self.bad_descriptor, self.descriptor_addr, self.read_addr)))),
        ]
        aborted = Signal(_LEAST - 1)  # whether `abort` was 1 in each of the cycles before
        m.d.sync += aborted.eq(Mux(self.abort, Cat(self.abort, aborted), 0))
        with m.If(aborted[-1] & self.quiet):
            m.d.sync += self.abort.eq(0)
        with m.If(self.start):
            m.d.sync += self.status.eq(0)
        with m.Elif(self.busy & (self.expired | ~self.abort & errors.any())):
            m.d.sync += [
                self.abort.eq(1),
                self.status.eq(self.status.as_value() | Cat(Mux(self.abort, 0, errors), self.expired)),
            ]
            with m.If(~self.status.as_value().any()):
                m.d.sync += self.error_addr.eq(failed_addr)
        return m
