"""Delay line: a value, some cycles later."""

from amaranth.hdl import Signal

__all__ = ["delayed"]


def delayed(m, value, cycles, name):
    """``value`` after ``cycles`` registers of the module ``m``."""
    for i in range(cycles):
        later = Signal.like(value, name=f"{name}_{i + 1}")
        m.d.sync += later.eq(value)
        value = later
    return value
