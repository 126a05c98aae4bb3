"""Adder tree: a pipelined sum of many terms, two at a time.

A register behind every adder keeps each on a carry chain of its own. Written as one expression, such a sum becomes
three-to-two compressors in lookup tables, which take twice the area.

Latency: :func:`tree_latency` cycles. Rate: one sum a cycle.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.utils import ceil_log2

__all__ = ["adder_tree", "aligned_sum", "tree_latency"]


def aligned_sum(a: Value, a_power: int, b: Value, b_power: int) -> Value:
    """The signed sum ``a * 2**a_power + b * 2**b_power``, in units of the lesser of the two powers of two.

    Combinational. The lowest bits of one term, where the other has none, do not pass through the adder.
    """
    if a_power > b_power:
        return aligned_sum(b, b_power, a, a_power)
    below = b_power - a_power
    if not below:
        return a.as_signed() + b.as_signed()
    a = a.as_signed()
    high = (a >> below) + b.as_signed()
    return Cat(a[:below] if len(a) > below else Cat(a, a[-1].replicate(below - len(a))), high).as_signed()


def tree_latency(terms: int) -> int:
    """Cycles that the sum of ``terms`` terms takes: one for each level of the tree."""
    return ceil_log2(terms)


def adder_tree(m: Module, terms: Sequence[tuple[Value, int]]) -> tuple[Value, int]:
    """Add up ``terms``, each a signed value and the power of two that is its unit. Neighbours are added first.

    Latency ``tree_latency(len(terms))`` cycles; one sum a cycle.

    Returns
    -------
    (value, power)
        The sum and its unit, in the same way.
    """
    level = 0
    while len(terms) > 1:
        level += 1
        sums: list[tuple[Value, int]] = []
        for i in range(0, len(terms), 2):
            (value, power), *neighbours = terms[i:i + 2]
            for neighbour in neighbours:
                value, power = aligned_sum(value, power, *neighbour), min(power, neighbour[1])
            total = Signal(value.shape(), name=f"sum{level}_{i // 2}", reset_less=True)
            m.d.sync += total.eq(value)
            sums.append((total, power))
        terms = sums
    return terms[0]
