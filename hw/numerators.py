"""Numerators: the integer that each weight of a block is a multiple of, ``sum over p of q[p] * (state[p] - 2**(k-1))``.

    numerator[c] = gain * core[c] + low[edge bits below the core] + 2**high_shift * high[edge bits above it]

with the core being the window bits that all states of weight ``c`` share (:mod:`hw.coefficients`). One narrow product
for each weight, which either is a multiplier's (``config.narrow_products == "dsp"``) or is put together from digits
("lut"): the window is cut into digits of ``p`` bits, each multiplied by the gain once, and as weight ``c + 1`` starts
one digit behind weight ``c``, they share all but one of them, and sums of neighbours too.

Latency 3 cycles, one block a cycle; never stalls.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.adder_tree import aligned_sum
from hw.coefficients import Coefficients, Edges, coefficient_layout, core_bits
from hw.config import EngineConfig

__all__ = ["Numerators"]


class Numerators(wiring.Component):
    """From window and coefficients to numerators.

    Members
    -------
    window : In
        Output of the LFSR bank.
    q : In(array of p signed(coef_bits))
    o : Out(array of c signed(numerator_bits))
        ``latency`` cycles after the inputs.
    """

    latency = 3

    def __init__(self, config: EngineConfig):
        fmt = config.fmt
        self._fmt, self._in_luts = fmt, config.narrow_products == "lut"
        core = len(core_bits(fmt))
        self._digits = -(-core // fmt.p)
        self._edges = Edges(fmt, self._digits * fmt.p if self._in_luts else core)
        super().__init__({
            "window": In(fmt.k - 1 + fmt.c * fmt.p),
            "q": In(data.ArrayLayout(signed(fmt.coef_bits), fmt.p)),
            "o": Out(data.ArrayLayout(signed(config.numerator_bits), fmt.c)),
        })

    def elaborate(self, platform):
        m = Module()
        fmt, edges = self._fmt, self._edges
        m.submodules.coefficients = coefficients = Coefficients(edges)
        m.d.comb += coefficients.q.eq(self.q)

        # 1: registers.
        window, factors = Signal.like(self.window), Signal(coefficient_layout(edges))
        m.d.sync += [window.eq(self.window), factors.eq(coefficients.o)]

        # 2: what the edges add.
        edge = []
        for c in range(fmt.c):
            low_bits, high_bits = (window[c * fmt.p + bits.start:c * fmt.p + bits.stop]
                                   for bits in (edges.low, edges.high))
            low = factors.low[low_bits] if len(edges.low) else factors.low[0]
            high = factors.high[high_bits] if len(edges.high) else factors.high[0]
            edge.append((low, high))

        # 3: and what the core does.
        if not core_bits(fmt):
            m.d.sync += [o.eq(total) for o, total in zip(self.o, self._sums(m, edge), strict=True)]
        elif self._in_luts:
            self._from_digits(m, window, factors.gain, edge)
        else:
            self._from_products(m, window, factors.gain, edge)
        return m

    @staticmethod
    def _kept(m, value, name):
        """A partial sum that synthesis leaves as it is, instead of turning chains of sums into compressors."""
        kept = Signal(value.shape(), name=name, attrs={"keep": 1})
        m.d.comb += kept.eq(value)
        return kept

    def _sums(self, m, edge):
        """The two parts of the edges added, a register behind them."""
        totals = []
        for c, (low, high) in enumerate(edge):
            value = aligned_sum(low, 0, high, self._edges.high_shift)
            total = Signal(value.shape(), name=f"edge{c}")
            m.d.sync += total.eq(value)
            totals.append(total)
        return totals

    def _from_products(self, m, window, gain, edge):
        core = core_bits(self._fmt)
        for c, total in enumerate(self._sums(m, edge)):
            first = c * self._fmt.p
            product = Signal(signed(gain.shape().width + len(core)), name=f"product{c}")
            m.d.sync += [
                product.eq(gain * window[first + core.start:first + core.stop]),
                self.o[c].eq(product + total),
            ]

    def _from_digits(self, m, window, gain, edge):
        p, start, main = self._fmt.p, core_bits(self._fmt).start, 1 << (self._digits.bit_length() - 1)
        partial = {}
        for i in range(self._fmt.c - 1 + self._digits):
            bits = window[start + i * p:start + (i + 1) * p]
            value = Mux(bits[0], gain, 0)
            for j in range(1, p):
                value = self._kept(m, aligned_sum(value, 0, Mux(bits[j], gain, 0), j), f"digit{i}_{j}")
            digit = Signal(value.shape(), name=f"digit{i}")
            m.d.sync += digit.eq(value)
            partial[i, 1] = digit

        def digits(i, count):
            """``count`` digits from the ``i``-th on."""
            if (i, count) not in partial:
                half = 1 << ((count - 1).bit_length() - 1)
                partial[i, count] = self._kept(
                    m, aligned_sum(digits(i, half), 0, digits(i + half, count - half), half * p),
                    f"digits{i}_{count}")
            return partial[i, count]

        for c, total in enumerate(self._sums(m, edge)):
            rest = total
            if self._digits > main:
                rest = self._kept(m, aligned_sum(total, 0, digits(c + main, self._digits - main), main * p), f"rest{c}")
            m.d.sync += self.o[c].eq(digits(c, main) + rest)
