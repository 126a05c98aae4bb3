"""Credit gate: lets no more payloads into a pipeline than the queue at its end has room for.

So what lies between gate and queue never has to stop, and no wire runs back through it. The gate starts with a credit
for each place of the queue. A payload that passes the gate spends a credit, which is returned when it leaves the queue.

Latency: 0 cycles, combinational from input to output; ready comes from a register. Rate: one payload a cycle, as long
as a credit is returned within ``depth`` cycles, of which the gate itself takes two.
"""

from collections.abc import Iterable

from amaranth.hdl import Module, ShapeLike, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["CreditGate", "free_running"]


class CreditGate(wiring.Component):
    """Gate at the head of a pipeline.

    Parameters
    ----------
    shape : ShapeLike
        Shape of a payload.
    depth : int
        Payloads that the queue can hold.

    Members
    -------
    i : In(stream of ``shape``)
    o : Out(stream of ``shape``)
        ``ready`` is ignored, since the pipeline never stops.
    returned : In(1)
        Strobe: a payload leaves the queue.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        self._depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "returned": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # One less than the credits left, so that the sign tells that there are none.
        left, returned = Signal(signed(ceil_log2(self._depth) + 1), init=self._depth - 1), Signal()
        m.d.comb += [
            self.i.ready.eq(left >= 0),
            self.o.valid.eq(self.i.valid & self.i.ready),
            self.o.payload.eq(self.i.payload),
        ]
        m.d.sync += [returned.eq(self.returned), left.eq(left - self.o.valid + returned)]
        return m


def free_running(m: Module, gate: CreditGate, stages: Iterable[wiring.Component], queue: wiring.Component) -> None:
    """Connect a gate, stages and the queue whose depth the gate was built for, so that the stages never have to stop.

    All of them have streams ``i`` and ``o``. The queue stores those fields of the last stage's payload that its own
    payload has.
    """
    last = gate
    for stage in stages:
        wiring.connect(m, last.o, stage.i)
        last = stage
    m.d.comb += [
        last.o.ready.eq(1),
        queue.i.valid.eq(last.o.valid),
        *(queue.i.payload[name].eq(last.o.payload[name]) for name, _ in queue.i.payload.shape()),
        gate.returned.eq(queue.o.valid & queue.o.ready),
    ]
