"""Coefficient decode: the few numbers, the same for all weights of a block, from which its numerators are made.

Bit ``j`` of the window above the first state of a weight enters that weight's numerator as
``sum over p of q[p] * 2**(j - p)`` (0 <= j - p < k). Bits ``p_count - 1`` to ``k - 1``, the core, belong to every
state, so that they share one factor, ``gain * 2**(j - p_count + 1)`` with
``gain = sum of q[p] * 2**(p_count - 1 - p)``. The bits below and above, the edges, are few: what any combination of
them adds is looked up in two tables; so are small multiples of the gain.

Combinational, or one cycle with a register in the middle of each sum.
"""

from dataclasses import dataclass

from amaranth.hdl import Array, Const, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat
from hw.parts.delay import registered

__all__ = ["Coefficients", "Edges", "coefficient_layout", "core_bits", "gain_form"]

Form = tuple[int, ...]
"""A linear form of the coefficients: one integer factor for each."""


def core_bits(fmt: BlockFormat) -> range:
    """Window bits, from the first state of a weight on, that all its ``p`` states share."""
    return range(fmt.p - 1, fmt.k)


def gain_form(fmt: BlockFormat) -> Form:
    """The gain."""
    return tuple(1 << (fmt.p - 1 - p) for p in range(fmt.p))


def form_shape(fmt: BlockFormat, form: Form):
    """The narrowest signed shape that holds a form of any coefficients."""
    low = sum(min(factor * fmt.coef_min, factor * fmt.coef_max) for factor in form)
    high = sum(max(factor * fmt.coef_min, factor * fmt.coef_max) for factor in form)
    return signed(max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + 1)


@dataclass(frozen=True)
class Edges:
    """The edges of a format: which bits select from which table, and what the tables hold.

    Parameters
    ----------
    fmt : BlockFormat
    covered : int
        Bits from the first of the core on that are multiplied by the gain. It may be more than the core has: the high
        table then takes off what is too much.

    ``low`` and ``high`` are the bits that select an entry of the table of that name; those of the high one, in which
    the centring of the states is contained, count for ``2**high_shift``.
    """

    fmt: BlockFormat
    covered: int

    @property
    def low(self) -> range:
        """Bits below the core, or the lower half of all when there is no core."""
        fmt = self.fmt
        return range(fmt.p - 1 if core_bits(fmt) else (fmt.k + fmt.p - 1) // 2)

    @property
    def high(self) -> range:
        """Bits above the core, or the upper half."""
        fmt = self.fmt
        return range(max(fmt.k, self.low.stop) if core_bits(fmt) else self.low.stop, fmt.k + fmt.p - 1)

    def _form(self, j: int) -> Form:
        """What bit ``j`` adds to a numerator beyond what the gain gives it."""
        fmt, core = self.fmt, core_bits(self.fmt)
        times_gain = core and core.start <= j < core.start + self.covered
        return tuple(((1 << (j - p)) if 0 <= j - p < fmt.k else 0) - ((1 << (j - p)) if times_gain else 0)
                     for p in range(fmt.p))

    def _table(self, bits: range, constant: int) -> list[Form]:
        forms = [(constant,) * self.fmt.p]
        for j in bits:
            extra = self._form(j)
            forms += [tuple(a + b for a, b in zip(form, extra, strict=True)) for form in forms]
        return forms

    @property
    def high_shift(self) -> int:
        """Power of two in all entries of the high table."""
        factors = [factor for form in self._table(self.high, -self.fmt.offset) for factor in form if factor]
        return min((factor & -factor).bit_length() - 1 for factor in factors)

    @property
    def tables(self) -> dict[str, list[Form]]:
        """Entries of all tables by name."""
        gain = gain_form(self.fmt)
        return {
            "gain": [tuple(multiple * factor for factor in gain) for multiple in range(4)],
            "low": self._table(self.low, 0),
            "high": [tuple(factor >> self.high_shift for factor in form)
                     for form in self._table(self.high, -self.fmt.offset)],
        }


def coefficient_layout(edges: Edges) -> data.StructLayout:
    """The multiples 0 to 3 of the ``gain`` and the tables ``low`` and ``high``; all signed integers."""

    def widest(forms):
        return signed(max(form_shape(edges.fmt, form).width for form in forms))

    return data.StructLayout({name: data.ArrayLayout(widest(forms), len(forms))
                              for name, forms in edges.tables.items()})


class Coefficients(wiring.Component):
    """Tables from the ``p`` stored coefficients.

    Parameters
    ----------
    edges : Edges
    halved : bool
        There is a register in the middle.

    Members
    -------
    q : In(array of p signed(coef_bits))
    o : Out(coefficient_layout)
    """

    def __init__(self, edges: Edges, halved: bool = False):
        self._edges, self._halved = edges, halved
        fmt = edges.fmt
        super().__init__({
            "q": In(data.ArrayLayout(signed(fmt.coef_bits), fmt.p)),
            "o": Out(coefficient_layout(edges)),
        })

    def elaborate(self, platform):
        m = Module()
        for name, forms in self._edges.tables.items():
            for i, form in enumerate(forms):
                terms = self._pairs(m, f"{name}{i}", form) if self._halved else self._terms(form)
                m.d.comb += self.o[name][i].eq(sum(terms, Const(0)))
        return m

    def _pairs(self, m, name, form):
        """A form as sums of two coefficients' parts each. A part is so few bits' function that it takes no adder."""
        fmt, parts = self._edges.fmt, []
        for p, factor in enumerate(form):
            if factor:
                values = [factor * value for value in (*range(fmt.coef_max + 1), *range(fmt.coef_min, 0))]
                part = Signal(form_shape(fmt, (factor,)), name=f"{name}_{p}")
                m.d.comb += part.eq(Array(values)[self.q[p].as_unsigned()])
                parts.append(part)
        return [registered(m, sum(parts[n:n + 2], Const(0)), f"{name}_{n}_sum") for n in range(0, len(parts), 2)]

    def _terms(self, form):
        """A form as shifts, to be added up."""
        terms = []
        for p, factor in enumerate(form):
            size = abs(factor)
            shifted = [self.q[p] << i for i in range(size.bit_length()) if size >> i & 1]
            terms += shifted if factor > 0 else [-term for term in shifted]
        return terms
