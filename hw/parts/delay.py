"""Registers that carry a value on: a delay line, one register, and a copy of one's own of what many share."""

from amaranth.hdl import Module, Signal, Value

__all__ = ["delayed", "own_copy", "registered"]


def delayed(m: Module, value: Value, cycles: int, name: str, reset_less: bool = False) -> Value:
    """``value`` as it was ``cycles`` cycles before, 0 or more, by registers ``name_1``, ... of the module ``m``.

    Registers without a reset are shared: synthesis makes one of two delays of the same value, even in modules with
    different resets.
    """
    for i in range(cycles):
        later = Signal.like(value, name=f"{name}_{i + 1}", reset_less=reset_less)
        m.d.sync += later.eq(value)
        value = later
    return value


def own_copy(m: Module, value: Value, name: str, apart: bool = True) -> Signal:
    """``value`` as it was a cycle before, in a register without a reset. Synthesis never merges a register that is kept
    ``apart`` with others of the same value, so that it can lie near what it drives."""
    copy = Signal.like(value, name=name, reset_less=True, attrs={"keep": 1} if apart else {})
    m.d.sync += copy.eq(value)
    return copy


def registered(m: Module, value: Value, name: str) -> Signal:
    """``value`` as it was a cycle before, in a register without a reset, which is shared like those of
    :func:`delayed`."""
    return own_copy(m, value, name, apart=False)
