"""The engine's configuration: widths that a format does not have."""

import pytest

from golden.spec import FORMATS, FP16, INT8, SEEDLM4, WeightFormat
from hw.config import ConfigError, EngineConfig
from hw.engine.latency import group_interval
from hw.lanes.lanes import lane_interval
from hw.pipelining import FAST, LEAN, Pipelining


@pytest.mark.parametrize("width", ["numerator_bits", "dot_bits", "group_bits"])
def test_floating_point_weights_have_no_numerators(width: str) -> None:
    with pytest.raises(ConfigError, match="engine: weights of fp16 have no numerators"):
        getattr(EngineConfig(FP16), width)


@pytest.mark.parametrize(("fmt", "bus_bits", "count", "legal"), [
    (SEEDLM4, 512, 3, "1 or 2 or 4"),
    (SEEDLM4, 512, 8, "1 or 2 or 4"),
    (SEEDLM4, 64, 4, "1 or 2"),
    (INT8, 128, 4, "1 or 2"),
    (FP16, 32, 2, "1"),
    (SEEDLM4, 32, 0, "1"),
])
def test_no_more_results_a_cycle_than_lanes_and_places_in_a_beat(fmt: WeightFormat, bus_bits: int, count: int,
                                                                 legal: str) -> None:
    with pytest.raises(ConfigError, match=f"engine: results_per_cycle must be {legal}, not {count}, where lanes are"):
        EngineConfig(fmt, bus_bits, results_per_cycle=count)


@pytest.mark.parametrize("pipelining", [LEAN, FAST])
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_groups_end_no_sooner_than_lanes_and_drain_allow(fmt: WeightFormat, pipelining: Pipelining) -> None:
    for bus_bits in (32, 64, 128, 256, 512, 1024):
        for count in (1, 2, 4):
            try:
                config = EngineConfig(fmt, bus_bits, results_per_cycle=count, pipelining=pipelining)
            except ConfigError:
                continue
            assert group_interval(config) >= max(lane_interval(config), config.drain_cycles)
