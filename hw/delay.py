"""Registers that carry a value on: a delay line, and a lane's own copy of what all lanes share."""

from amaranth.hdl import Signal

__all__ = ["delayed", "lane_copy"]


def delayed(m, value, cycles, name):
    """``value`` after ``cycles`` registers of the module ``m``."""
    for i in range(cycles):
        later = Signal.like(value, name=f"{name}_{i + 1}")
        m.d.sync += later.eq(value)
        value = later
    return value


def lane_copy(m, config, shape, value, name):
    """``value``, as ``shape``, in a register. In a fast engine it is never merged with the same of other lanes, so that
    it can lie near what it drives."""
    copy = Signal(shape, name=name, reset_less=True, attrs={"keep": 1} if config.fast else {})
    m.d.sync += copy.eq(value)
    return copy
