"""Coefficient decode: the few numbers by which a block's partial sums are multiplied.

Bit ``j`` of the window above the first state of a weight enters that weight's numerator as
``sum over p of q[p] * 2**(j - p)`` (0 <= j - p < k). Bits ``p_count - 1`` to ``k - 1`` belong to every state, so that
they share one factor, ``gain * 2**(j - p_count + 1)`` with ``gain = sum of q[p] * 2**(p_count - 1 - p)``; each of the
other bits, the edges, has a factor of its own. ``minus_sum`` takes the 2**(k-1) off every state.

Combinational.
"""

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.spec import BlockFormat

__all__ = ["Coefficients", "core_bits", "edge_bits", "factor_layout"]


def core_bits(fmt: BlockFormat) -> range:
    """Window bits, from the first state of a weight on, that all its ``p`` states share."""
    return range(fmt.p - 1, fmt.k)


def edge_bits(fmt: BlockFormat) -> list[int]:
    """Window bits that only some of the states of a weight contain."""
    return [j for j in range(fmt.k + fmt.p - 1) if j not in core_bits(fmt)]


def _edge_terms(fmt, j):
    """``(coefficient index, power)`` pairs whose sum is the factor of edge ``j``; the powers made least."""
    terms = [(p, j - p) for p in range(fmt.p) if 0 <= j - p < fmt.k]
    least = min(power for _, power in terms)
    return [(p, power - least) for p, power in terms], least


def factor_layout(fmt: BlockFormat) -> data.StructLayout:
    """``gain``, ``minus_sum`` and ``edge``, one factor for each of :func:`edge_bits`; all signed integers."""
    width = signed(fmt.coef_bits + fmt.p)  # |sum of q[p] * 2**p| < 2**(coef_bits - 1 + p), and the sign
    return data.StructLayout({
        "gain": width,
        "minus_sum": signed(fmt.coef_bits + fmt.p),
        "edge": data.ArrayLayout(width, len(edge_bits(fmt))),
    })


class Coefficients(wiring.Component):
    """Factors from the ``p`` stored coefficients.

    Members
    -------
    q : In(array of p signed(coef_bits))
    factors : Out(factor_layout)
        ``edge[i]`` times ``2**edge_power(i)`` is the factor of edge ``i``.
    """

    def __init__(self, fmt: BlockFormat):
        self._fmt = fmt
        super().__init__({
            "q": In(data.ArrayLayout(signed(fmt.coef_bits), fmt.p)),
            "factors": Out(factor_layout(fmt)),
        })

    @staticmethod
    def edge_power(fmt: BlockFormat, i: int) -> int:
        """Power of two left out of ``edge[i]``."""
        return _edge_terms(fmt, edge_bits(fmt)[i])[1]

    def elaborate(self, platform):
        m = Module()
        q, p_count = self.q, self._fmt.p
        m.d.comb += [
            self.factors.gain.eq(sum(q[p] << (p_count - 1 - p) for p in range(p_count))),
            self.factors.minus_sum.eq(-sum(q[p] for p in range(p_count))),
        ]
        for i, j in enumerate(edge_bits(self._fmt)):
            terms, _ = _edge_terms(self._fmt, j)
            m.d.comb += self.factors.edge[i].eq(sum(q[p] << power for p, power in terms))
        return m
