"""Numerators: the integer that each weight of a block is a multiple of, ``sum over p of q[p] * (state[p] - 2**(k-1))``.

    numerator[c] = gain * core[c] + low[edge bits below the core] + 2**high_shift * high[edge bits above it]

with the core being the window bits that all states of weight ``c`` share (:mod:`hw.lanes.coefficients`). One narrow
product for each weight, which either is a multiplier's (``config.narrow_products == "dsp"``) or is put together from
digits ("lut"): the window is cut into digits of ``p`` bits, each multiplied by the gain once, and as weight ``c + 1``
starts one digit behind weight ``c``, they share all but one of them, and sums of neighbours too.

Latency :func:`numerators_latency` cycles, one block a cycle; never stalls.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.lanes.coefficients import Coefficients, Edges, coefficient_layout, core_bits
from hw.parts.adder_tree import aligned_sum
from hw.parts.delay import delayed, registered

__all__ = ["Numerators", "numerators_latency"]


def numerators_latency(config: EngineConfig) -> int:
    """Cycles from window and coefficients to numerators: tables; halves; sums. For high clocks tables take one more,
    and so do edges and digits, and the core; whatever is beyond that are registers at the input."""
    steps = config.pipelining.numerators
    return 3 + (steps and 2 + steps)


class Numerators(wiring.Component):
    """From window and coefficients to numerators.

    Members
    -------
    window : In
        Output of the LFSR bank.
    q : In(array of p signed(coef_bits))
    o : Out(array of c signed(numerator_bits))
        :func:`numerators_latency` cycles after the inputs.
    """

    def __init__(self, config: EngineConfig):
        fmt = config.fmt
        self._fmt, self._in_luts = fmt, config.narrow_products == "lut"
        # What ends a sum that others are built on: a register where clock speed is worth it.
        self._steps = config.pipelining.numerators
        self._ended = registered if self._steps else self._kept
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
        m.submodules.coefficients = coefficients = Coefficients(edges, bool(self._steps))
        extra = max(self._steps - 1, 0)
        m.d.comb += coefficients.q.eq(delayed(m, self.q, extra, "q", reset_less=True))

        # 1: registers.
        window = Signal.like(self.window, reset_less=True)
        factors = Signal(coefficient_layout(edges), reset_less=True)
        m.d.sync += [window.eq(delayed(m, self.window, self._steps, "window", reset_less=True)),
                     factors.eq(coefficients.o)]

        # 2: what the edges add, and most of what the core does; last, their sum.
        edge = []
        for c in range(fmt.c):
            low, high = (table[window[c * fmt.p + bits.start:c * fmt.p + bits.stop]] if bits else table[0]
                         for table, bits in ((factors.low, edges.low), (factors.high, edges.high)))
            edge.append(self._ended(m, aligned_sum(low, 0, high, edges.high_shift), f"edge{c}"))
        if not core_bits(fmt):
            m.d.sync += [o.eq(self._rested(m, registered(m, total, f"edge{c}_2"), f"edge{c}_3"))
                         for c, (o, total) in enumerate(zip(self.o, edge, strict=True))]
        elif self._in_luts:
            self._from_digits(m, window, factors.gain, edge)
        else:
            self._from_products(m, window, factors.gain[1], edge)
        return m

    @staticmethod
    def _kept(m, value, name):
        """A partial sum that synthesis leaves as it is, instead of turning chains of sums into compressors."""
        kept = Signal(value.shape(), name=name, attrs={"keep": 1})
        m.d.comb += kept.eq(value)
        return kept

    def _rested(self, m, value, name):
        """What waits a cycle where clock speed is worth it."""
        return registered(m, value, name) if self._steps else value

    def _from_products(self, m, window, gain, edge):
        core = core_bits(self._fmt)
        for c, total in enumerate(edge):
            first = c * self._fmt.p
            product = self._ended(m, gain * window[first + core.start:first + core.stop], f"product{c}")
            later, total = registered(m, product, f"product{c}_2"), registered(m, total, f"edge{c}_2")
            m.d.sync += self.o[c].eq(self._rested(m, later, f"product{c}_3") + self._rested(m, total, f"edge{c}_3"))

    def _from_digits(self, m, window, multiples, edge):
        p, start, main = self._fmt.p, core_bits(self._fmt).start, 1 << (self._digits.bit_length() - 1)
        sums = {}
        for i in range(self._fmt.c - 1 + self._digits):
            # Two bits at a time pick a multiple of the gain; a last odd one gates it.
            bits = window[start + i * p:start + (i + 1) * p]
            parts = [multiples[bits[j:j + 2]] if j + 1 < p else Mux(bits[j], multiples[1], 0) for j in range(0, p, 2)]
            value = parts[0]
            for j, part in enumerate(parts[1:], 1):
                value = self._kept(m, aligned_sum(value, 0, part, 2 * j), f"digit{i}_{j}")
            sums[i, 1] = self._ended(m, value, f"digit{i}")

        def digits(i, count):
            """``count`` digits from the ``i``-th on, put together from sums that neighbours share."""
            if (i, count) not in sums:
                half = 1 << ((count - 1).bit_length() - 1)
                sums[i, count] = self._kept(
                    m, aligned_sum(digits(i, half), 0, digits(i + half, count - half), half * p), f"digits{i}_{count}")
            return sums[i, count]

        # Half of the digits that make a power of two, and the rest with the edges.
        half = max(main // 2, 1)
        halves = {}
        for i in sorted({i for c in range(self._fmt.c) for i in range(c, c + main, half)}):
            halves[i] = registered(m, digits(i, half), f"half{i}")
        for c, total in enumerate(edge):
            if self._digits > main:
                total = aligned_sum(total, 0, digits(c + main, self._digits - main), main * p)
            total = registered(m, total, f"rest{c}")
            # Last, both halves and the rest.
            value = halves[c]
            if main > 1:
                value = aligned_sum(value, 0, halves[c + half], half * p)
            m.d.sync += self.o[c].eq(self._ended(m, value, f"core{c}") + self._rested(m, total, f"rest{c}_2"))
