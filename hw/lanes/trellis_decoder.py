"""Trellis decoder: the integers of a block's weights, each from its window of the row's stream of bits.

    numerator[i] = (sum of the fields of the LFSR's output for window i) - offset

Each bit of the output is an XOR of window bits, found by :func:`~hw.lanes.lfsr_bank.leap_ahead`. Window ``i`` of a
block begins at bit ``bits * i`` of the block's codes above the last ``start_bits`` bits of the stream before them. The
decoder keeps these from one block to the next; a row's head brings those of its first block.

A field of ``w`` bits whose upper bit is inverted is, as a signed number, the field less ``2**(w - 1)``. The offset is
half of the greatest sum, rounded down, so for each pair of fields, and for one without a partner, there is a 1 to add
to these. It is the carry into the adder of the pair: ``a - ~b`` is ``a + b + 1``.

Latency: :func:`trellis_decoder_latency` cycles. Rate: one block a cycle; the decoder never stalls.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.formats.trellis import LFSR_BITS
from golden.spec import TrellisFormat
from hw.config import EngineConfig
from hw.lanes.lfsr_bank import leap_ahead
from hw.parts.adder_tree import adder_tree, tree_latency
from hw.parts.delay import delayed, registered

__all__ = ["TrellisDecoder", "trellis_decoder_latency"]


def trellis_decoder_latency(fmt: TrellisFormat, config: EngineConfig) -> int:
    """Cycles from a block to its numerators: sums of pairs of fields, and the levels of the adder tree over these. For
    high clocks one more, between the XORs and the sums; each further step of ``config.pipelining.numerators`` is a
    register at the input."""
    return 1 + tree_latency(-(-len(fmt.fields) // 2)) + config.pipelining.numerators


class TrellisDecoder(wiring.Component):
    """Makes numerators from the codes of a block.

    Parameters
    ----------
    fmt : TrellisFormat
        Format of the blocks, that of ``config``.
    config : EngineConfig

    Members
    -------
    block : In(block_bits)
        The block: codes, or the head of a row.
    valid : In(1)
        The block is the next one of the row. Without it nothing is kept of the block.
    head : In(1)
        The block is a head.
    o : Out(array of c signed(numerator_bits))
        The numerators, :func:`trellis_decoder_latency` cycles after the block. Those of a head mean nothing.
    """

    def __init__(self, fmt: TrellisFormat, config: EngineConfig):
        self._fmt, self._steps = fmt, config.pipelining.numerators
        super().__init__({
            "block": In(fmt.block_bits),
            "valid": In(1),
            "head": In(1),
            "o": Out(data.ArrayLayout(signed(config.numerator_bits), fmt.c)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fmt = self._fmt
        state, (start, _) = Signal(fmt.start_bits, reset_less=True), fmt.head_fields["start"]
        # A block is longer than the state, so what is left of the stream are always the upper bits of a block.
        with m.If(self.valid):
            m.d.sync += state.eq(Mux(self.head, self.block[start:start + fmt.start_bits],
                                     self.block[-fmt.start_bits:]))
        bits = delayed(m, Cat(state, self.block), max(self._steps - 1, 0), "bits", reset_less=True)
        for i in range(fmt.c):
            output = self._output(m, i, bits[fmt.bits * i:fmt.bits * i + fmt.window])
            m.d.comb += self.o[i].eq(self._sum(m, i, output))
        return m

    def _output(self, m: Module, i: int, window: Value) -> dict[int, Value]:
        """The bits that lie in fields of the LFSR's output for window ``i``, by their places. For high clocks they are
        in registers."""
        fmt, found = self._fmt, {}
        masks = [1 << t for t in range(LFSR_BITS)] + leap_ahead(fmt.taps, LFSR_BITS, fmt.output_bits - LFSR_BITS)
        for place in sorted({low + n for low, width in fmt.fields for n in range(width)}):
            # A Signal of its own for each bit: Amaranth would repeat a shared expression in full.
            bit = Signal(name=f"bit{i}_{place}")
            m.d.comb += bit.eq(Cat(window[j] for j in range(fmt.window) if masks[place] >> j & 1).xor())
            found[place] = registered(m, bit, f"bit{i}_{place}_1") if self._steps else bit
        return found

    def _sum(self, m: Module, i: int, output: dict[int, Value]) -> Value:
        """The sum of the fields less the offset, in a register."""
        fields = [Cat(*(output[low + n] for n in range(width - 1)), ~output[low + width - 1]).as_signed()
                  for low, width in self._fmt.fields]
        pairs = []
        for n in range(0, len(fields), 2):
            a, b = (*fields[n:n + 2], Const(0, signed(1)))[:2]
            pairs.append((registered(m, a - ~b, f"pair{i}_{n}"), 0))
        total, _ = adder_tree(m, pairs)
        return total
