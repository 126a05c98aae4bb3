"""The presets: what their numbers amount to."""

import dataclasses

import pytest

from sim.dram import PRESETS, Dram, preset
from sim.toolchain import ToolError


def test_names():
    assert {"ddr4-2400", "ddr3-1600", "ideal", "paper"} <= set(PRESETS)
    for name, dram in PRESETS.items():
        assert preset(name) is dram
        assert dram.name == name
        assert dram.source


def test_unknown_name_lists_the_known():
    with pytest.raises(ToolError, match="unknown memory 'ddr9': MEMORY must be one of ddr4-2400, ddr3-1600, ideal, "):
        preset("ddr9")


@pytest.mark.parametrize(("name", "gigabytes_per_s", "gap", "interval", "limit"), [
    ("ddr4-2400", 19.2, 4 + 109 + 4, 2341, 0.9500),
    ("ddr3-1600", 12.8, 3 + 52 + 3, 1560, 0.9628),
])
def test_sequential_limit(name, gigabytes_per_s, gap, interval, limit):
    dram = preset(name)
    assert dram.peak_bytes_per_s(512) == pytest.approx(gigabytes_per_s * 1e9)
    assert (dram.refresh_gap, dram.refresh_interval) == (gap, interval)
    assert dram.sequential_limit == pytest.approx(limit, abs=5e-5)
    # Whole fabric cycles cost little against the DRAM's own clock.
    assert dram.sequential_limit == pytest.approx(1 - (dram.t_rfc + dram.t_rp + dram.t_rcd) / dram.t_refi, abs=1e-3)
    assert dram.row_words * 512 // 8 == 8192


def test_no_dram():
    assert preset("ideal").sequential_limit == 1.0
    assert preset("ideal").read_latency == 1
    assert preset("ideal").peak_bytes_per_s(512) is None
    assert 1 / preset("paper").sequential_limit == pytest.approx(1.0399, abs=5e-5)


@pytest.mark.parametrize(("change", "message"), [
    ({"banks": 12}, "banks must be a power of two, not 12"),
    ({"banks": 1}, "banks must be 0 or at least 2, not 1"),
    ({"row_words": 0}, "row_words must be a power of two, not 0"),
    ({"t_refi": 500}, "t_refi must leave time between refreshes; 500 does not"),
])
def test_impossible(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(preset("ddr4-2400"), **change)


def test_repr_tells_every_number():
    """Cached builds are found by it."""
    for field in dataclasses.fields(Dram):
        assert f"{field.name}=" in repr(preset("paper"))
