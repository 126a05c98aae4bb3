"""Numerators: for each weight of a block the integer ``sum over p of q[p] * (state[p] - 2**(k-1))``.

    numerator[c] = gain * core[c] + low[edge bits below the core] + 2**high_shift * high[edge bits above it]

The core is the window bits that all states of weight ``c`` share (:mod:`hw.lanes.coefficients`). Its product with the
gain either is a multiplier's (``config.narrow_products == "dsp"``) or is put together from digits ("lut"). The window
is cut into digits of ``p`` bits, and each digit is multiplied by the gain once. Weight ``c + 1`` starts one digit after
weight ``c``, so neighbours share all digits but one, and sums of digits too.

Latency: :func:`numerators_latency` cycles. Rate: one block a cycle; the numerators never stall.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat
from hw.config import EngineConfig
from hw.lanes.coefficients import Coefficients, Edges, coefficient_layout, core_bits
from hw.parts.adder_tree import aligned_sum
from hw.parts.delay import delayed, registered

__all__ = ["Numerators", "numerators_latency"]


def numerators_latency(config: EngineConfig) -> int:
    """Cycles from window and coefficients to numerators: tables; halves of the products; sums. For high clocks three
    more, one for the tables, one for edges and digits, and one for the product of the core; each further step of
    ``config.pipelining.numerators`` is a register at the input."""
    steps = config.pipelining.numerators
    return 3 + (steps and 2 + steps)


class Numerators(wiring.Component):
    """Makes numerators from the window and the coefficients of a block.

    Parameters
    ----------
    fmt : BlockFormat
        Format of the blocks, that of ``config``.
    config : EngineConfig

    Members
    -------
    window : In(k - 1 + c*p)
        All states of the block, as the LFSR bank gives them.
    q : In(array of p signed(coef_bits))
        The stored coefficients of the block.
    o : Out(array of c signed(numerator_bits))
        The numerators, :func:`numerators_latency` cycles after the inputs.
    """

    def __init__(self, fmt: BlockFormat, config: EngineConfig):
        self._fmt, self._in_luts, self._steps = fmt, config.narrow_products == "lut", config.pipelining.numerators
        core = len(core_bits(fmt))
        self._digits = -(-core // fmt.p)
        self._edges = Edges(fmt, self._digits * fmt.p if self._in_luts else core)
        super().__init__({
            "window": In(fmt.k - 1 + fmt.c * fmt.p),
            "q": In(data.ArrayLayout(signed(fmt.coef_bits), fmt.p)),
            "o": Out(data.ArrayLayout(signed(config.numerator_bits), fmt.c)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fmt, edges = self._fmt, self._edges
        m.submodules.coefficients = coefficients = Coefficients(edges, bool(self._steps))
        extra = max(self._steps - 1, 0)
        m.d.comb += coefficients.q.eq(delayed(m, self.q, extra, "q", reset_less=True))

        # 1: the window and the tables in registers.
        window = Signal.like(self.window, reset_less=True)
        factors = Signal(coefficient_layout(edges), reset_less=True)
        m.d.sync += [window.eq(delayed(m, self.window, self._steps, "window", reset_less=True)),
                     factors.eq(coefficients.o)]

        # 2 and 3: what the edges add, the product of the core, and their sum.
        edge_sums = []
        for c in range(fmt.c):
            low, high = (table[window[c * fmt.p + bits.start:c * fmt.p + bits.stop]] if bits else table[0]
                         for table, bits in ((factors.low, edges.low), (factors.high, edges.high)))
            edge_sums.append(self._finished(m, aligned_sum(low, 0, high, edges.high_shift), f"edge{c}"))
        if not core_bits(fmt):
            m.d.sync += [o.eq(self._late(m, registered(m, total, f"edge{c}_2"), f"edge{c}_3"))
                         for c, (o, total) in enumerate(zip(self.o, edge_sums, strict=True))]
        elif self._in_luts:
            self._add_digits(m, window, factors.gain, edge_sums)
        else:
            self._add_products(m, window, factors.gain[1], edge_sums)
        return m

    @staticmethod
    def _kept(m: Module, value: Value, name: str) -> Signal:
        """A partial sum that synthesis leaves as it is, instead of turning chains of sums into compressors."""
        kept = Signal(value.shape(), name=name, attrs={"keep": 1})
        m.d.comb += kept.eq(value)
        return kept

    def _finished(self, m: Module, value: Value, name: str) -> Signal:
        """A partial sum that others are built on. For high clocks it is in a register."""
        return registered(m, value, name) if self._steps else self._kept(m, value, name)

    def _late(self, m: Module, value: Value, name: str) -> Value:
        """A value that for high clocks waits a cycle for one in a register of :meth:`_finished`."""
        return registered(m, value, name) if self._steps else value

    def _wraps(self, covered: int) -> bool:
        """Whether a part of a numerator can be beyond the numerator's bits, so that the sum of both parts wraps. One
        part is the product of the gain and ``covered`` bits of the core, the other one is the rest."""
        fmt, most = self._fmt, 1 << (self._fmt.coef_bits - 1)
        product = most * ((1 << fmt.p) - 1) * ((1 << covered) - 1)
        edges = most * fmt.p << (fmt.k - 1)
        rest = edges if covered >= len(core_bits(fmt)) else most * fmt.p * (fmt.offset - 1) + product
        return max(product, rest) >= 1 << (len(self.o[0]) - 1)

    def _end(self, m: Module, c: int, total: Value, covered: int) -> None:
        """Put a numerator, the sum of two parts, into the output's register.

        Yosys narrows the parts to the bits of the numerator, and moves their adder into a DSP of Xilinx's 7-series.
        That one does not wrap. A sum that wraps is therefore kept as wide as its parts.
        """
        m.d.sync += self.o[c].eq(self._kept(m, total, f"total{c}") if self._wraps(covered) else total)

    def _add_products(self, m: Module, window: Signal, gain: Value, edge_sums: list[Signal]) -> None:
        """Numerators by multipliers of the device: the product of the gain and the core, and what the edges add."""
        core = core_bits(self._fmt)
        for c, total in enumerate(edge_sums):
            first = c * self._fmt.p
            product = self._finished(m, gain * window[first + core.start:first + core.stop], f"product{c}")
            later, total = registered(m, product, f"product{c}_2"), registered(m, total, f"edge{c}_2")
            self._end(m, c, self._late(m, later, f"product{c}_3") + self._late(m, total, f"edge{c}_3"), len(core))

    def _add_digits(self, m: Module, window: Signal, multiples: data.View, edge_sums: list[Signal]) -> None:
        """Numerators in lookup tables: the digits of the core times the gain, and what the edges add."""
        p, start, main = self._fmt.p, core_bits(self._fmt).start, 1 << (self._digits.bit_length() - 1)
        sums: dict[tuple[int, int], Signal] = {}
        for i in range(self._fmt.c - 1 + self._digits):
            # Two bits at a time select a multiple of the gain; where p is odd, the last bit gates it.
            bits = window[start + i * p:start + (i + 1) * p]
            parts = [multiples[bits[j:j + 2]] if j + 1 < p else Mux(bits[j], multiples[1], 0) for j in range(0, p, 2)]
            value = parts[0]
            for j, part in enumerate(parts[1:], 1):
                value = self._kept(m, aligned_sum(value, 0, part, 2 * j), f"digit{i}_{j}")
            sums[i, 1] = self._finished(m, value, f"digit{i}")

        def digits(i: int, count: int) -> Signal:
            """The sum of ``count`` digits from the ``i``-th on, made of sums that neighbouring weights share."""
            if (i, count) not in sums:
                half = 1 << ((count - 1).bit_length() - 1)
                sums[i, count] = self._kept(
                    m, aligned_sum(digits(i, half), 0, digits(i + half, count - half), half * p), f"digits{i}_{count}")
            return sums[i, count]

        # `main` digits, a power of two, in two halves; the other digits are added to the edges.
        half = max(main // 2, 1)
        halves = {}
        for i in sorted({i for c in range(self._fmt.c) for i in range(c, c + main, half)}):
            halves[i] = registered(m, digits(i, half), f"half{i}")
        for c, total in enumerate(edge_sums):
            if self._digits > main:
                total = aligned_sum(total, 0, digits(c + main, self._digits - main), main * p)
            total = registered(m, total, f"rest{c}")
            # Then the sum of both halves and the rest.
            value = halves[c]
            if main > 1:
                value = aligned_sum(value, 0, halves[c + half], half * p)
            total = self._finished(m, value, f"core{c}") + self._late(m, total, f"rest{c}_2")
            self._end(m, c, total, main * p)
