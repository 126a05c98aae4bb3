"""Registers that carry a value on: a delay line, one register, and a copy of one's own of what many share."""

from amaranth.hdl import Signal

__all__ = ["delayed", "own_copy", "registered"]


def delayed(m, value, cycles, name, reset_less=False):
    """``value`` after ``cycles`` registers of the module ``m``. Those without a reset are one with others of the same
    value, whatever resets the modules around them."""
    for i in range(cycles):
        later = Signal.like(value, name=f"{name}_{i + 1}", reset_less=reset_less)
        m.d.sync += later.eq(value)
        value = later
    return value


def own_copy(m, value, name, apart=True):
    """``value`` in a register without a reset. Kept ``apart``, it is never merged with others of the same value, so
    that it can lie near what it drives."""
    copy = Signal.like(value, name=name, reset_less=True, attrs={"keep": 1} if apart else {})
    m.d.sync += copy.eq(value)
    return copy


def registered(m, value, name):
    """``value`` in a register without a reset."""
    return own_copy(m, value, name, apart=False)
