"""Butterflies between words: a level of the Hadamard transform whose pairs lie some words apart.

Of each block of ``2 * distance`` words, the first half waits in a memory. With each word of the second half the sum
with its partner leaves, and the word waits too. The differences leave in the cycles after the block, one a cycle and
whether or not other words come, and the words of the next block find their places free when they need them. So there is
one adder for each element of a word, and each word that leaves takes it once.

Latency: 1 cycle from a word of the second half to a sum, and ``1 + distance`` to the difference with the same partner,
if there are no gaps. Rate: one word a cycle.
"""

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["Butterflies", "turning_word"]


def turning_word(c: int, bits: int, rest: dict[str, ShapeLike]) -> data.StructLayout:
    """A word between two levels: ``c`` elements ``x`` of ``bits`` bits, and the fields ``rest``."""
    return data.StructLayout({"x": data.ArrayLayout(signed(bits), c), **rest})


class Butterflies(wiring.Component):
    """One level of the transform.

    Parameters
    ----------
    c, bits : int
        Elements of a word, and bits of each.
    distance : int
        Words from an element to its partner, a power of two.
    rest : dict
        Shapes of the other fields of a word, by name.

    Members
    -------
    i : In(stream of turning_word)
        ``ready`` is always 1.
    o : Out(stream of turning_word)
        The same with a bit more for each element, whatever ``ready`` is.
    """

    def __init__(self, c: int, bits: int, distance: int, rest: dict[str, ShapeLike]):
        self._distance, self._rest = distance, rest
        super().__init__({"i": In(stream.Signature(turning_word(c, bits, rest))),
                          "o": Out(stream.Signature(turning_word(c, bits + 1, rest)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, o = self.i.payload, self.o.payload
        # `count` numbers the words of a block, and its top bit says that the second half has come. `place` numbers the
        # differences that leave.
        count, place, leaving = Signal(range(2 * self._distance)), Signal(range(self._distance)), Signal()
        second, at = count[-1], count[:exact_log2(self._distance)]
        m.d.comb += self.i.ready.eq(1)
        read_at = Mux(leaving, place, at)
        early, late = (self._waiting(m, half, read_at, at, self.i.valid & (second == number))
                       for number, half in enumerate(("early", "late")))
        with m.If(self.i.valid):
            m.d.sync += count.eq(count + 1)
        with m.If(self.i.valid & count.all()):
            m.d.sync += [leaving.eq(1), place.eq(0)]
        with m.Elif(leaving):
            m.d.sync += [place.eq(place + 1), leaving.eq(place != self._distance - 1)]
        # One adder: a difference adds the inverted bits and one.
        for out, partner, now, was in zip(o.x, early.x, word.x, late.x, strict=True):
            m.d.sync += out.eq(partner + Mux(leaving, ~was, now) + leaving)
        m.d.sync += [self.o.valid.eq((self.i.valid & second) | leaving),
                     *(o[name].eq(Mux(leaving, late[name], early[name])) for name in self._rest)]
        return m

    def _waiting(self, m: Module, half: str, read_at: Value, write_at: Value, write: Value) -> data.View:
        """The word at ``read_at`` of the memory of one half of a block, which takes the present word at
        ``write_at``."""
        found = Signal.like(self.i.payload, name=half, reset_less=True)
        if self._distance == 1:
            with m.If(write):
                m.d.sync += found.eq(self.i.payload)
            return found
        m.submodules[half] = memory = Memory(shape=found.shape(), depth=self._distance, init=[])
        into, out = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [into.en.eq(write), into.addr.eq(write_at), into.data.eq(self.i.payload), out.addr.eq(read_at),
                     found.eq(out.data)]
        return found
