"""Adder tree: a pipelined sum of many terms, two at a time.

A register behind every adder keeps each on a carry chain of its own; written as one expression, such a sum becomes
three-to-two compressors in lookup tables, which take twice the area.
"""

from amaranth.hdl import Cat, Signal
from amaranth.utils import ceil_log2

__all__ = ["adder_tree", "aligned_sum", "tree_latency"]


def aligned_sum(a, a_power: int, b, b_power: int):
    """``a * 2**(a_power - b_power) + b`` or the like, as a signed expression that counts for the lesser of the powers.
    Bits of the one that lie below the other pass by the adder."""
    if a_power > b_power:
        return aligned_sum(b, b_power, a, a_power)
    below = b_power - a_power
    if not below:
        return a.as_signed() + b.as_signed()
    a = a.as_signed()
    high = (a >> below) + b.as_signed()
    return Cat(a[:below] if len(a) > below else Cat(a, a[-1].replicate(below - len(a))), high).as_signed()


def tree_latency(terms: int) -> int:
    """Cycles that the sum of so many terms takes."""
    return ceil_log2(terms)


def adder_tree(m, terms):
    """Add up ``terms``, pairs of a signed signal and the power of two that it counts for.

    Latency ``tree_latency(len(terms))`` cycles; one sum a cycle. Neighbours are added first.

    Returns
    -------
    (signal, power)
        The sum, likewise.
    """
    level = 0
    while len(terms) > 1:
        level += 1
        sums = []
        for i in range(0, len(terms), 2):
            (value, power), *neighbours = terms[i:i + 2]
            for neighbour in neighbours:
                value, power = aligned_sum(value, power, *neighbour), min(power, neighbour[1])
            total = Signal(value.shape(), name=f"sum{level}_{i // 2}", reset_less=True)
            m.d.sync += total.eq(value)
            sums.append((total, power))
        terms = sums
    return terms[0]
