"""A pipeline in a stream: steps of combinational logic with a register behind each.

All registers advance together, whenever the last one is empty or its payload is accepted, so that back-pressure costs
one gate however long the pipeline is.

Latency: one cycle a step. Rate: one payload a cycle.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream

__all__ = ["Step", "fused", "pipeline"]

Step = tuple[ShapeLike, Callable[[Any, Any], None] | None]
"""Shape of the payload behind a step, and the function that makes it; see :func:`pipeline`."""


def fused(steps: Sequence[Step], count: int) -> list[Step]:
    """Every ``count`` steps of a pipeline as one, without the registers between them.

    Parameters
    ----------
    steps : sequence of Step
        Each has a function.
    """

    def run(group: Sequence[Step], now: Any, later: Any) -> None:
        for number, (shape, step) in enumerate(group, 1):
            between = later if number == len(group) else Signal(shape, name=f"between{number}")
            assert step, "a step without a function cannot be fused"
            step(now, between)
            now = between

    groups = [steps[n:n + count] for n in range(0, len(steps), count)]
    return [(group[-1][0], partial(run, group)) for group in groups]


def pipeline(m: Module, i: stream.Interface, o: stream.Interface, steps: Sequence[Step]) -> None:
    """Put a pipeline between two streams of the module ``m``.

    Latency ``len(steps)`` cycles; one payload a cycle. Without steps, the streams are wired together.

    Parameters
    ----------
    i, o : streams
        As seen by the module that holds the pipeline: ``i.ready``, ``o.valid`` and ``o.payload`` are driven.
    steps : sequence of (shape, function)
        For each step, the shape of the payload behind it, which is that of ``o`` for the last one. The function is
        called as ``function(now, later)`` and adds to ``m`` the logic that makes the payload ``later`` out of the one
        before the step, ``now``. None in its place is a register without logic.
    """
    advance = Signal(name="advance")
    valid, now = i.valid, i.payload
    for n, (shape, step) in enumerate(steps, 1):
        later, register, filled = (Signal(shape, name=f"later{n}"), Signal(shape, name=f"step{n}"),
                                   Signal(name=f"filled{n}"))
        if step:
            step(now, later)
        else:
            m.d.comb += later.eq(now)
        with m.If(advance):
            m.d.sync += [register.eq(later), filled.eq(valid)]
        valid, now = filled, register
    m.d.comb += [o.valid.eq(valid), o.payload.eq(now), advance.eq(~valid | o.ready if steps else o.ready),
                 i.ready.eq(advance)]
