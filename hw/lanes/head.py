"""Row head: finds the heads among the blocks of a lane, and hands the scale of each row out beside its sum.

In formats whose rows have scales of their own, the first block of a row is its head, which holds its scale. Rows may be
as short as two blocks, and several may be on their way through a lane, so the scale travels beside them.

Latency: a row's scale appears in the same cycle as the row's sum behind the accumulator. Rate: one block a cycle.
"""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec import HEAD_FIELDS, SCALE_BITS
from hw.config import EngineConfig
from hw.parts.delay import delayed

__all__ = ["RowHead"]


class RowHead(wiring.Component):
    """Takes the heads of the rows of a lane.

    Parameters
    ----------
    config : EngineConfig
        Its rows have heads.
    latency : int
        Cycles from a block at the input to its value at the input of the accumulator, 1 or more.

    Members
    -------
    valid : In(1)
        There is a block.
    last : In(1)
        It is the last one of its row.
    block : In(block_bits)
        Its bits.
    first : Out(1)
        A block that comes in this cycle is the head of its row, and no weights. Combinational from the blocks before
        it; it does not depend on ``valid``.
    ends : In(1)
        Strobe: the last value of a row is at the input of the accumulator.
    scale : Out(SCALE_BITS)
        The scale of the row whose sum has left the accumulator last. It stays in place until the next row's.
    """

    def __init__(self, config: EngineConfig, latency: int):
        self._latency = latency
        super().__init__({
            "valid": In(1), "last": In(1), "block": In(config.block_bits), "first": Out(1, init=1), "ends": In(1),
            "scale": Out(SCALE_BITS),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low, width = HEAD_FIELDS["scale"]
        scale = Signal(width, reset_less=True)
        m.d.sync += Assert(~(self.valid & self.first & self.last), "a row ends with its head")
        with m.If(self.valid):
            m.d.sync += self.first.eq(self.last)
        with m.If(self.valid & self.first):
            m.d.sync += scale.eq(self.block[low:low + width])
        # The register of the scale and the one at the output are two of the cycles to the sum.
        later = delayed(m, scale, self._latency - 1, "scale", reset_less=True)
        with m.If(self.ends):
            m.d.sync += self.scale.eq(later)
        return m
