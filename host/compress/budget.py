"""A mixture of formats under a budget: the format of each matrix for which all of them together do the least harm.

A matrix has an offer for each format: the bits that it stores, and the harm that its errors do. Harms of matrices are
taken to add up. Then this is a knapsack, in which harm is bought off with bits: each matrix begins with its cheapest
offer, and the steps to better ones are taken in the order of what they buy for a bit, as far as they fit. Where the
first steps fit exactly, no mixture of as many bits does less harm. Otherwise, none does less by more than what the next
step would have bought.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, floor
from typing import NamedTuple

from host.errors import UserError

__all__ = ["Offer", "choose_formats", "require_budget"]


class Offer(NamedTuple):
    """A format that a matrix may have, the bits that the matrix stores in it, and the harm that its errors do."""

    format: str
    bits: int
    harm: float


def require_budget(bits: float, sizes: Mapping[str, Mapping[str, int]], weights: int) -> int:
    """Return the stored bits that a budget allows.

    Parameters
    ----------
    bits : float
        The budget, in stored bits for a weight.
    sizes : mapping
        For each matrix, the bits that it stores in each of the formats, of which it has at least one.
    weights : int
        Number of the weights of all matrices.

    Raises
    ------
    UserError
        When no mixture is within the budget, or all matrices in their greatest formats do not use it up.
    """
    allowed = floor(bits * weights + 0.5)
    least, most = (sum(pick(formats.values()) for formats in sizes.values()) for pick in (min, max))
    if allowed < least:
        raise UserError(f"a budget of {bits:g} bits for a weight is below {ceil(1000 * least / weights) / 1000:.3f}, "
                        "what these matrices store in the smallest of the formats: give more, or a smaller format with "
                        "--formats")
    if allowed > most:
        raise UserError(f"a budget of {bits:g} bits for a weight is above {floor(1000 * most / weights) / 1000:.3f}, "
                        "what these matrices store in the greatest of the formats: give less, a greater format with "
                        "--formats, or one format without --bits")
    return allowed


def _steps(offers: Sequence[Offer]) -> Iterator[tuple[Offer, Offer]]:
    """Yield the steps of a matrix from its cheapest offer to better ones, those that buy most for a bit first. Offers
    off the lower hull of harm over bits are left out."""
    ordered = sorted(offers, key=lambda offer: (offer.bits, offer.harm))
    at = ordered[0]
    while better := [offer for offer in ordered if offer.bits > at.bits and offer.harm < at.harm]:
        step = max(better, key=lambda offer: (_gain(at, offer), offer.bits))
        yield at, step
        at = step


def _gain(at: Offer, offer: Offer) -> float:
    """Return what a step buys for a bit."""
    return (at.harm - offer.harm) / (offer.bits - at.bits)


def choose_formats(offers: Mapping[str, Sequence[Offer]], most: int) -> dict[str, str]:
    """Return the name of the format of each matrix.

    Parameters
    ----------
    offers : mapping
        The offers of each matrix.
    most : int
        Stored bits of all matrices together, which their cheapest offers do not exceed.
    """
    chosen = {name: min(own, key=lambda offer: (offer.bits, offer.harm)) for name, own in offers.items()}
    left = most - sum(offer.bits for offer in chosen.values())
    steps = [(name, *step) for name, own in offers.items() for step in _steps(own)]
    for name, at, better in sorted(steps, key=lambda step: -_gain(*step[1:])):  # equal gains stay in order
        if chosen[name] == at and better.bits - at.bits <= left:
            left -= better.bits - at.bits
            chosen[name] = better
    return {name: offer.format for name, offer in chosen.items()}
