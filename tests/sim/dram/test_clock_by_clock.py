"""Refreshes of single banks beside a controller that is stepped from clock to clock."""

import pytest

from sim.dram.presets import preset
from tests.sim.dram.clock_by_clock import sequential_share

PUBLISHED = 0.9587
"""What two independent simulators, which answer in any order, give LPDDR5-6400, 16 Gb x16, refreshed by a counter."""


def test_in_order_it_is_the_limit_of_the_preset() -> None:
    dram = preset("lpddr5-6400")
    assert sequential_share(dram, 16, in_order=True) == pytest.approx(dram.sequential_limit, abs=5e-3)


@pytest.mark.parametrize("queue", [16, 32])
def test_out_of_order_it_is_that_of_other_simulators(queue: int) -> None:
    share = sequential_share(preset("lpddr5-6400"), queue, in_order=False)
    assert share == pytest.approx(PUBLISHED, abs=1e-2)
    assert share > preset("lpddr5-6400").sequential_limit + 0.015
