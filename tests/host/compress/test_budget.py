"""The choice of formats under a budget, beside a search of all choices."""

from itertools import product

import numpy as np
import pytest

from host.compress.budget import Offer, choose_formats, require_budget
from host.errors import UserError

Offers = dict[str, list[Offer]]


def random_offers(seed: int) -> Offers:
    """Six matrices with three formats, of which any may be worse than one of fewer bits."""
    rng = np.random.default_rng(seed)
    return {f"m{at}": [Offer(f"f{n}", int(bits), float(harm)) for n, (bits, harm) in enumerate(zip(
        rng.integers(1, 40, 3), rng.uniform(0, 1, 3), strict=True))] for at in range(6)}


def total(chosen: list[Offer]) -> tuple[int, float]:
    return sum(offer.bits for offer in chosen), sum(offer.harm for offer in chosen)


def taken(offers: Offers, most: int) -> tuple[int, float]:
    found = choose_formats(offers, most)
    assert list(found) == list(offers)
    return total([next(offer for offer in own if offer.format == found[name]) for name, own in offers.items()])


@pytest.mark.parametrize("seed", range(8))
def test_no_mixture_of_as_many_bits_does_less_harm(seed: int) -> None:
    offers = random_offers(seed)
    every = [total(list(choice)) for choice in product(*offers.values())]
    for price in np.geomspace(1e-3, 1, 20):
        bits, harm = min(every, key=lambda found: found[1] + price * found[0])
        assert taken(offers, bits)[1] == pytest.approx(harm, abs=1e-12)
    greatest = max(offer.harm for own in offers.values() for offer in own)
    for most in range(min(bits for bits, _ in every), 180, 5):
        bits, harm = taken(offers, most)
        best = min(harm for bits, harm in every if bits <= most)
        assert bits <= most
        assert best - 1e-12 <= harm <= best + greatest


def test_sensitive_matrices_and_small_ones_come_first() -> None:
    offers = {"large": [Offer("3", 300, 4), Offer("4", 400, 1)], "small": [Offer("3", 30, 1), Offer("4", 40, 0.5)],
              "dull": [Offer("3", 300, 0.2), Offer("4", 400, 0.1)], "none": [Offer("3", 30, 1), Offer("4", 40, 1)]}
    assert choose_formats(offers, 660) == dict.fromkeys(offers, "3")
    assert choose_formats(offers, 679) == {"large": "3", "small": "4", "dull": "3", "none": "3"}
    assert choose_formats(offers, 779) == {"large": "4", "small": "4", "dull": "3", "none": "3"}
    assert choose_formats(offers, 10_000) == {"large": "4", "small": "4", "dull": "4", "none": "3"}


def test_of_two_formats_with_equal_bits_the_better_one_is_taken() -> None:
    assert choose_formats({"m": [Offer("a", 4, 2), Offer("b", 4, 1), Offer("c", 3, 5)]}, 4) == {"m": "b"}
    assert choose_formats({"m": [Offer("a", 4, 2), Offer("b", 4, 1)]}, 4) == {"m": "b"}


def test_budgets_out_of_range() -> None:
    sizes = {"m": {"a": 301, "b": 400}, "n": {"a": 30, "b": 40}}
    assert require_budget(3.01, sizes, 110) == 331
    assert require_budget(4, sizes, 110) == 440
    with pytest.raises(UserError, match=r"3 bits for a weight is below 3.010, what these matrices store in the small"):
        require_budget(3, sizes, 110)
    with pytest.raises(UserError, match=r"4.1 bits for a weight is above 4.000, .*, or one format without --bits"):
        require_budget(4.1, sizes, 110)
