"""Points in time of the memory model, in CK since its clock began.

A command that waits for several others takes place at the latest of the times that they set. The clock starts late
enough that registers which are still 0 hold nothing up, and is wide enough never to wrap.
"""

from amaranth.hdl import Module, Mux, Signal, ValueLike

__all__ = ["START", "TIME", "latest"]

TIME = 44
"""Bits of a time; hours of simulated time, months of simulating."""
START = 1 << 16
"""The time at reset, beyond any timing."""


def latest(m: Module, *times: ValueLike) -> Signal:
    """The latest of ``times``."""
    result = Signal(TIME, name="latest")
    m.d.comb += result.eq(times[0])
    for time in times[1:]:
        before, after = result, Signal(TIME, name="time")
        result = Signal(TIME, name="latest")
        m.d.comb += [after.eq(time), result.eq(Mux(before > after, before, after))]
    return result
