"""LFSR bank: all states of a block at once.

The ``c*p`` states that follow a seed are ``k``-bit windows of one bit stream: the register's bits above the lowest,
then ``c*p`` feedback bits. Each feedback bit is an XOR of seed bits, found here by stepping the register over GF(2)
vectors at elaboration (an LFSR leap-ahead matrix). State ``i`` (0 being the first after the seed) is ``window[i:i+k]``.

Latency: 0 cycles, the bank is combinational. Rate: one block a cycle.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat

__all__ = ["LfsrBank", "leap_ahead"]


def leap_ahead(taps: Sequence[int], k: int, count: int) -> list[int]:
    """For each of the first ``count`` feedback bits of an LFSR of ``k`` bits, the mask of seed bits whose XOR it is."""
    stream = [1 << i for i in range(k)]
    for _ in range(count):
        mask = 0
        for tap in taps:
            mask ^= stream[len(stream) - k + tap]
        stream.append(mask)
    return stream[k:]


class LfsrBank(wiring.Component):
    """XOR network from a seed to the bit stream that holds every state of its block.

    Parameters
    ----------
    fmt : BlockFormat

    Members
    -------
    seed : In(k)
        LFSR register state.
    window : Out(k - 1 + c*p)
        State ``i`` after the seed is bits ``i`` to ``i + k - 1``.
    """

    def __init__(self, fmt: BlockFormat):
        self._fmt = fmt
        super().__init__({"seed": In(fmt.k), "window": Out(fmt.k - 1 + fmt.c * fmt.p)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fmt, new_bits = self._fmt, []
        for i, mask in enumerate(leap_ahead(fmt.taps, fmt.k, fmt.c * fmt.p)):
            # A Signal of its own for each bit: Amaranth would repeat a shared expression in full.
            bit = Signal(name=f"feedback{i}")
            m.d.comb += bit.eq(Cat(self.seed[j] for j in range(fmt.k) if mask >> j & 1).xor())
            new_bits.append(bit)
        m.d.comb += self.window.eq(Cat(self.seed[1:], *new_bits))
        return m
