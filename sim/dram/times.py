"""Points in time of the memory model, in clocks of the DRAM (CK) since its clock began.

A command that waits for several others takes place at the latest of the times that they set. The clock starts late
enough that registers which still hold 0 delay nothing, and times are wide enough never to wrap.
"""

from amaranth.hdl import Module, Mux, Signal, ValueLike

__all__ = ["START", "TIME", "latest"]

TIME = 44
"""Bits of a time: at 1600 MHz they last for three hours of simulated time, which take months to simulate."""
START = 1 << 16
"""The time at reset, CK; no timing parameter is as long."""


def latest(m: Module, *times: ValueLike) -> Signal:
    """A signal of the module ``m`` that holds the latest of ``times``; combinational."""
    result = Signal(TIME, name="latest")
    m.d.comb += result.eq(times[0])
    for time in times[1:]:
        before, after = result, Signal(TIME, name="time")
        result = Signal(TIME, name="latest")
        m.d.comb += [after.eq(time), result.eq(Mux(before > after, before, after))]
    return result
