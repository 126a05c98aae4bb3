"""MAC array of one lane: the integer dot product of a block's numerators with its activations.

With ``b`` the window, ``x`` the activations and H[c] the bits of weight c that all its states share::

    dot = gain * sum(x[c] * H[c]) + sum over edges j of edge[j] * sum(x[c] where bit j of weight c is set)
          + minus_sum * 2**(k-1) * sum(x[c])

so that each weight takes one narrow product, and the coefficients one for each edge of the block, whatever ``c`` is.

Latency 4 cycles, one block a cycle; never stalls.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.spec import ACT_BITS
from hw.coefficients import Coefficients, core_bits, edge_bits, factor_layout
from hw.config import EngineConfig

__all__ = ["MacArray"]


class MacArray(wiring.Component):
    """Dot product of a block, pipelined.

    Members
    -------
    window : In
        Output of the LFSR bank.
    q : In(array of p signed(coef_bits))
    x : In(array of c signed(ACT_BITS))
        Activations.
    total : In(signed)
        Their sum.
    dot : Out(signed(dot_bits))
        ``latency`` cycles after the inputs.
    """

    latency = 4

    def __init__(self, config: EngineConfig):
        fmt = config.fmt
        self._config = config
        super().__init__({
            "window": In(fmt.k - 1 + fmt.c * fmt.p),
            "q": In(data.ArrayLayout(signed(fmt.coef_bits), fmt.p)),
            "x": In(data.ArrayLayout(signed(ACT_BITS), fmt.c)),
            "total": In(signed(ACT_BITS + ceil_log2(fmt.c))),
            "dot": Out(signed(config.dot_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        fmt = self._config.fmt
        core, edges = core_bits(fmt), edge_bits(fmt)
        m.submodules.coefficients = coefficients = Coefficients(fmt)
        m.d.comb += coefficients.q.eq(self.q)
        sum_shape = self.total.shape()

        # 1: one product for each weight, one gated sum for each edge, and the factors.
        products, gated = [], []
        for c in range(fmt.c if core else 0):
            first = c * fmt.p
            product = Signal(signed(ACT_BITS + len(core)), name=f"product{c}")
            m.d.sync += product.eq(self.x[c] * self.window[first + core.start:first + core.stop])
            products.append(product)
        for j in edges:
            total = Signal(sum_shape, name=f"gated{j}")
            m.d.sync += total.eq(sum(Mux(self.window[c * fmt.p + j], self.x[c], 0) for c in range(fmt.c)))
            gated.append(total)
        factors, total = Signal(factor_layout(fmt)), Signal(sum_shape)
        m.d.sync += [factors.eq(coefficients.factors), total.eq(self.total)]

        # 2: the products added up.
        core_sum = Signal(signed(ACT_BITS + len(core) + ceil_log2(fmt.c)))
        factors_2, total_2 = Signal(factor_layout(fmt)), Signal(sum_shape)
        gated_2 = [Signal(sum_shape, name=f"gated{j}_2") for j in edges]
        m.d.sync += [core_sum.eq(sum(products)), factors_2.eq(factors), total_2.eq(total)]
        m.d.sync += [later.eq(now) for later, now in zip(gated_2, gated, strict=True)]

        # 3: the coefficients come in.
        terms = [(core_sum * factors_2.gain, 0), (total_2 * factors_2.minus_sum, fmt.k - 1)]
        terms += [(gated_2[i] * factors_2.edge[i], Coefficients.edge_power(fmt, i)) for i in range(len(edges))]
        weighted = []
        for i, (product, power) in enumerate(terms):
            term = Signal(product.shape(), name=f"term{i}")
            m.d.sync += term.eq(product)
            weighted.append(term << power)

        # 4: their sum.
        m.d.sync += self.dot.eq(sum(weighted))
        return m
