"""Coefficient decode: makes the few numbers, the same for all weights of a block, that its numerators consist of.

Bit ``j`` of the window, counted from the first state of a weight on, adds ``sum over p of q[p] * 2**(j - p)``
(0 <= j - p < k) to that weight's numerator. Bits ``p_count - 1`` to ``k - 1``, the core, belong to all the states of
the weight, so that one factor serves them: bit ``j`` counts for ``gain * 2**(j - p_count + 1)`` with
``gain = sum of q[p] * 2**(p_count - 1 - p)``. The bits below and above the core, the edges, are few. Two tables hold
what each combination of them adds; a third holds small multiples of the gain.

Latency: 0 cycles, or 1 cycle with a register in the middle of each sum. Rate: one block a cycle.
"""

from dataclasses import dataclass

from amaranth.hdl import Array, Const, Module, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat
from hw.parts.delay import registered

__all__ = ["Coefficients", "Edges", "coefficient_layout", "core_bits", "gain_form"]

Form = tuple[int, ...]
"""A linear form of the coefficients, given by an integer factor for each of them."""


def core_bits(fmt: BlockFormat) -> range:
    """The window bits, counted from the first state of a weight on, that belong to all its ``p`` states."""
    return range(fmt.p - 1, fmt.k)


def gain_form(fmt: BlockFormat) -> Form:
    """The gain as a linear form."""
    return tuple(1 << (fmt.p - 1 - p) for p in range(fmt.p))


def form_shape(fmt: BlockFormat, form: Form) -> Shape:
    """The narrowest signed shape that holds the value of a form for all coefficients."""
    low = sum(min(factor * fmt.coef_min, factor * fmt.coef_max) for factor in form)
    high = sum(max(factor * fmt.coef_min, factor * fmt.coef_max) for factor in form)
    return signed(max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + 1)


@dataclass(frozen=True)
class Edges:
    """The edges of a format: which bits select an entry of which table, and what the tables hold.

    Parameters
    ----------
    fmt : BlockFormat
    covered : int
        Number of bits, from the first of the core on, that are multiplied by the gain. Where it is more than the core
        has, the high table subtracts what the bits beyond the core add too much.

    The bits ``low`` and ``high`` select an entry of the table of that name. Entries of the high table are in units of
    ``2**high_shift`` and contain the term that centres the states.
    """

    fmt: BlockFormat
    covered: int

    @property
    def low(self) -> range:
        """The bits below the core, or the lower half of all bits when there is no core."""
        fmt = self.fmt
        return range(fmt.p - 1 if core_bits(fmt) else (fmt.k + fmt.p - 1) // 2)

    @property
    def high(self) -> range:
        """The bits above the core, or the upper half of all bits when there is no core."""
        fmt = self.fmt
        return range(max(fmt.k, self.low.stop) if core_bits(fmt) else self.low.stop, fmt.k + fmt.p - 1)

    def _form(self, j: int) -> Form:
        """What bit ``j`` adds to a numerator beside its product with the gain."""
        fmt, core = self.fmt, core_bits(self.fmt)
        times_gain = core and core.start <= j < core.start + self.covered
        return tuple(((1 << (j - p)) if 0 <= j - p < fmt.k else 0) - ((1 << (j - p)) if times_gain else 0)
                     for p in range(fmt.p))

    def _table(self, bits: range, constant: int) -> list[Form]:
        """What each combination of ``bits`` adds, and ``constant`` times each coefficient."""
        forms = [(constant,) * self.fmt.p]
        for j in bits:
            extra = self._form(j)
            forms += [tuple(a + b for a, b in zip(form, extra, strict=True)) for form in forms]
        return forms

    @property
    def high_shift(self) -> int:
        """Exponent of the greatest power of two that divides all entries of the high table."""
        factors = [factor for form in self._table(self.high, -self.fmt.offset) for factor in form if factor]
        return min((factor & -factor).bit_length() - 1 for factor in factors)

    @property
    def tables(self) -> dict[str, list[Form]]:
        """The entries of the tables ``gain``, ``low`` and ``high``."""
        gain = gain_form(self.fmt)
        return {
            "gain": [tuple(multiple * factor for factor in gain) for multiple in range(4)],
            "low": self._table(self.low, 0),
            "high": [tuple(factor >> self.high_shift for factor in form)
                     for form in self._table(self.high, -self.fmt.offset)],
        }


def coefficient_layout(edges: Edges) -> data.StructLayout:
    """The multiples 0 to 3 of the ``gain``, and the tables ``low`` and ``high``. All are signed integers, and those of
    a table have one width."""

    def widest(forms: list[Form]) -> Shape:
        return signed(max(form_shape(edges.fmt, form).width for form in forms))

    return data.StructLayout({name: data.ArrayLayout(widest(forms), len(forms))
                              for name, forms in edges.tables.items()})


class Coefficients(wiring.Component):
    """Makes the tables of a block.

    Parameters
    ----------
    edges : Edges
        What the tables hold.
    pipelined : bool
        Whether there is a register in the middle of each sum.

    Members
    -------
    q : In(array of p signed(coef_bits))
        The stored coefficients of the block.
    o : Out(coefficient_layout)
        The tables.
    """

    def __init__(self, edges: Edges, pipelined: bool = False):
        self._edges, self._pipelined = edges, pipelined
        fmt = edges.fmt
        super().__init__({
            "q": In(data.ArrayLayout(signed(fmt.coef_bits), fmt.p)),
            "o": Out(coefficient_layout(edges)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, forms in self._edges.tables.items():
            for i, form in enumerate(forms):
                terms = self._pairs(m, f"{name}{i}", form) if self._pipelined else self._terms(form)
                m.d.comb += self.o[name][i].eq(sum(terms, Const(0)))
        return m

    def _pairs(self, m: Module, name: str, form: Form) -> list[Value]:
        """A form as terms in registers, each of which is the sum of the parts of two coefficients. A part is a function
        of so few bits that it takes no adder."""
        fmt, parts = self._edges.fmt, []
        for p, factor in enumerate(form):
            if factor:
                values = [factor * value for value in (*range(fmt.coef_max + 1), *range(fmt.coef_min, 0))]
                part = Signal(form_shape(fmt, (factor,)), name=f"{name}_{p}")
                m.d.comb += part.eq(Array(values)[self.q[p].as_unsigned()])
                parts.append(part)
        return [registered(m, sum(parts[n:n + 2], Const(0)), f"{name}_{n}_sum") for n in range(0, len(parts), 2)]

    def _terms(self, form: Form) -> list[Value]:
        """A form as terms, each of which is a shifted coefficient or its negative."""
        terms: list[Value] = []
        for p, factor in enumerate(form):
            size = abs(factor)
            shifted = [self.q[p] << i for i in range(size.bit_length()) if size >> i & 1]
            terms += shifted if factor > 0 else [-term for term in shifted]
        return terms
