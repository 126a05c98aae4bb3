"""MAC array of one lane: the integer dot product of a block's numerators with its activations.

There is a multiplier for each weight, and an adder tree. Where multipliers are narrower than numerators
(``config.multiplier_bits``), they take the upper bits, and the few lower bits gate the activations in lookup tables.

Latency: :func:`mac_latency` cycles from numerators and activations to their dot product. Rate: one block a cycle; the
array never stalls.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.parts.adder_tree import adder_tree, tree_latency
from hw.parts.delay import own_copy

__all__ = ["MacArray", "mac_latency"]


def _low_bits(config: EngineConfig) -> int:
    """Number of a numerator's lower bits, which no multiplier takes."""
    return max(config.numerator_bits - config.multiplier_bits, 0)


def mac_latency(config: EngineConfig) -> int:
    """Cycles from numerators and activations to their dot product: registers of ``config.pipelining.mac``; products;
    the levels of the adder tree."""
    return config.pipelining.mac + 1 + tree_latency(config.c + _low_bits(config) * -(-config.c // 2))


class MacArray(wiring.Component):
    """Pipelined dot product of a block.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    numerators : In(array of c signed(numerator_bits))
        The integers that the weights of the block are multiples of.
    x : In(array of c signed(act_bits))
        Integer activations.
    dot : Out(signed(dot_bits))
        Sum of the products, :func:`mac_latency` cycles after the inputs.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "numerators": In(data.ArrayLayout(signed(config.numerator_bits), config.c)),
            "x": In(data.ArrayLayout(signed(config.act_bits), config.c)),
            "dot": Out(signed(config.dot_bits)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c_count, act_bits, low_bits = self._config.c, self._config.act_bits, _low_bits(self._config)
        numerators, x = self.numerators, self.x
        # Multipliers lie in rows of their own on the device, far from the adders that make the numerators, and x is the
        # same for all lanes. Registers of their own split these long wires.
        for n in range(self._config.pipelining.mac):
            numerators, x = own_copy(m, numerators, f"near{n or ''}"), own_copy(m, x, f"near_x{n or ''}")
        terms = []
        for j in range(low_bits):
            gated = [Mux(numerators[c][j], x[c], 0) for c in range(c_count)]
            for c in range(0, c_count, 2):
                pair = Signal(signed(act_bits + 1), name=f"gated{j}_{c}", reset_less=True)
                m.d.sync += pair.eq(sum(gated[c:c + 2]))
                terms.append((pair, j))
        for c in range(c_count):
            product = Signal(signed(act_bits + len(numerators[c]) - low_bits), name=f"product{c}", reset_less=True)
            m.d.sync += product.eq(x[c] * numerators[c][low_bits:].as_signed())
            terms.append((product, low_bits))
        total, _ = adder_tree(m, terms)
        m.d.comb += self.dot.eq(total)
        return m
