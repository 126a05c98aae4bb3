"""Drain: finds the sums of a group of rows in the lanes and passes them on one at a time.

Sums of padding rows, past the last of the matrix, are dropped.

Latency 1 cycle, one sum a cycle.
"""

from amaranth.hdl import Assert, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig

__all__ = ["Drain", "sum_layout"]


def sum_layout(config: EngineConfig) -> data.StructLayout:
    """One row's ``sum``, and whether it is the ``last`` of the matrix."""
    return data.StructLayout({"sum": signed(config.sum_bits), "last": 1})


class Drain(wiring.Component):
    """Parallel to serial, with a count of the rows.

    Members
    -------
    start : In(1)
        A new matrix follows.
    rows : In
        Its rows.
    i : In(stream of array of lanes sums)
        Offered for a cycle; the sums stay in place until ``empty``, for whoever feeds the lanes waits for it.
    o : Out(stream of sum_layout)
    empty : Out(1)
        Strobe: the group is gone.
    """

    def __init__(self, config: EngineConfig):
        self._lanes = config.lanes
        super().__init__({
            "start": In(1),
            "rows": In(range(config.max_rows + 1)),
            "i": In(stream.Signature(data.ArrayLayout(signed(config.sum_bits), config.lanes))),
            "o": Out(stream.Signature(sum_layout(config))),
            "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        index = Signal(range(self._lanes))
        count = Signal(range(self._lanes + 1))
        left = Signal.like(self.rows)
        m.d.comb += [
            self.i.ready.eq(count == 0),
            self.o.valid.eq((count != 0) & (left != 0)),
            self.o.payload.sum.eq(self.i.payload[index]),
            self.o.payload.last.eq(left == 1),
        ]
        m.d.sync += Assert(~self.i.valid | self.i.ready)
        taken = self.o.valid & self.o.ready
        with m.If(self.i.valid):
            m.d.sync += [index.eq(0), count.eq(self._lanes)]
        with m.Elif((count != 0) & (left == 0)):
            m.d.sync += count.eq(0)
            m.d.comb += self.empty.eq(1)
        with m.Elif(taken):
            m.d.sync += [index.eq(index + 1), count.eq(count - 1)]
            m.d.comb += self.empty.eq(count == 1)
        with m.If(self.start):
            m.d.sync += left.eq(self.rows)
        with m.Elif(taken):
            m.d.sync += left.eq(left - 1)
        return m
