"""A pipeline in a stream: steps of combinational logic with a register behind each.

All registers advance together, whenever the last is empty or taken, so that back-pressure costs one gate however long
the pipeline is. Latency one cycle a step, one payload a cycle.
"""

from functools import partial

from amaranth.hdl import Signal

__all__ = ["fused", "pipeline"]


def fused(steps, count):
    """Every ``count`` steps of a pipeline as one, without the registers between them.

    Parameters
    ----------
    steps : list of (shape, function)
        See :func:`pipeline`; none without a function.
    """

    def run(group, now, later):
        for number, (shape, step) in enumerate(group, 1):
            between = later if number == len(group) else Signal(shape, name=f"between{number}")
            step(now, between)
            now = between

    groups = [steps[n:n + count] for n in range(0, len(steps), count)]
    return [(group[-1][0], partial(run, group)) for group in groups]


def pipeline(m, i, o, steps):
    """Put a pipeline between two streams of the module ``m``.

    Parameters
    ----------
    i, o : streams
        As seen by the module that holds the pipeline: ``i.ready``, ``o.valid`` and ``o.payload`` are driven.
    steps : list of (shape, function)
        Payload behind each step, the last one's being that of ``o``; and ``function(now, later)``, which adds to ``m``
        what makes the payload ``later`` of the one before, or None where there is nothing to it but the register.
        Without steps, wires.
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
