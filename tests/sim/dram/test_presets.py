"""The presets: what their numbers amount to."""

import dataclasses

import pytest

from sim.dram.dram import Dram
from sim.dram.memory import QUEUE_LATENCY
from sim.dram.presets import PRESETS, VARIANTS, preset
from sim.tools.errors import ToolError


def test_names():
    assert set(PRESETS) == {"ddr3-1600", "ddr4-2400", "ddr4-3200", "lpddr4-2400", "lpddr5-6400", "hbm2", "sdram-133",
                            "ideal", "paper"}
    assert set(VARIANTS) == {"lpddr4-2400-perbank", "lpddr5-6400-allbank", "lpddr5-6400-hidden", "hbm2-perbank"}
    for name, dram in (PRESETS | VARIANTS).items():
        assert preset(name) is dram
        assert dram.name == name
        assert dram.source


def test_unknown_name_lists_the_known():
    with pytest.raises(ToolError, match="unknown memory 'ddr9': MEMORY must be one of ddr4-2400, ddr4-3200, "):
        preset("ddr9")


@pytest.mark.parametrize(("name", "fabric_mhz", "gigabytes_per_s", "gap", "interval", "limit"), [
    ("ddr3-1600", 200, 12.8, 208 + 11 + 11, 1560, 0.9628),
    ("ddr4-2400", 300, 19.2, 433 + 16 + 16, 2341, 0.9498),
    ("ddr4-3200", 400, 25.6, 576 + 22 + 22, 3120, 0.9497),
    ("lpddr4-2400", 150, 9.6, 392 + 15 + 15, 1082, 0.9508),
    ("lpddr5-6400", 400, 25.6, 0, 8 * 195, 0.9371),
    ("hbm2", 500, 32.0, 260 + 14 + 14, 1950, 0.9236),
    ("sdram-133", 133.333, 0.266667, 9 + 2 + 2, 1041, 0.9875),
])
def test_what_a_512_bit_bus_gets(name, fabric_mhz, gigabytes_per_s, gap, interval, limit):
    dram = preset(name)
    assert dram.fabric_mhz == pytest.approx(fabric_mhz, abs=1e-3)
    assert dram.peak_bytes_per_s(512) == pytest.approx(gigabytes_per_s * 1e9, rel=1e-5)
    assert (dram.refresh_gap, dram.refresh_interval) == (gap, interval)
    assert dram.sequential_limit == pytest.approx(limit, abs=5e-5)


@pytest.mark.parametrize(("name", "data_bits", "bursts", "row_words", "word_ck", "word_rate"), [
    ("ddr4-2400", 512, 1, 128, 4, 1),  # 8 KB on 64 pins
    ("ddr4-2400", 64, 1, 128, 4, 1),
    ("lpddr5-6400", 512, 1, 64, 2, 1),
    ("sdram-133", 32, 2, 256, 2, 1 / 2),  # always 16 pins
    ("sdram-133", 512, 32, 16, 32, 1 / 32),
])
def test_words(name, data_bits, bursts, row_words, word_ck, word_rate):
    dram = preset(name)
    assert dram.bursts(data_bits) == bursts
    assert dram.row_words(data_bits) == row_words
    assert dram.word_ck(data_bits) == word_ck
    assert dram.word_rate(data_bits) == word_rate


def test_every_dram_has_a_controller_with_its_source():
    """The chip of sdram-133 is driven by registers of its controller, which have no latency of their own."""
    for dram in (PRESETS | VARIANTS).values():
        if dram.banks:
            assert bool(dram.controller) == (dram.name != "sdram-133")
            assert "controller" in dram.source
            assert dram.read_latency(64) == dram.cycles(dram.t_cl + dram.word_ck(64)) + dram.controller


def test_a_row_hit_takes_the_cycles_that_were_measured():
    """Shuhai, table IV (DDR4-2400, 300 MHz; HBM2, 900 MHz) and Altera's table 8-2 (DDR3, 200 MHz)."""
    assert QUEUE_LATENCY + preset("ddr4-2400").read_latency(512) == 22
    assert QUEUE_LATENCY + preset("ddr3-1600").controller + (6 + 4) // 2 == 23
    assert (QUEUE_LATENCY + preset("hbm2").controller) * 2.0 + 16 / 0.9 == pytest.approx(106.7, abs=1)


def test_refreshes_of_single_banks_obey_the_standard():
    for name, dram in (PRESETS | VARIANTS).items():
        if dram.t_refi_bank:
            assert min(dram.t_pbr2pbr, dram.t_pbr2act) > 0, name
            units = dram.groups * dram.banks / dram.refresh_banks
            assert dram.t_refi_bank * units == pytest.approx(dram.t_refi, rel=4e-3)


def test_no_dram():
    assert preset("ideal").sequential_limit == 1.0
    assert preset("ideal").read_latency(512) == 1
    assert preset("ideal").peak_bytes_per_s(512) is None
    assert 1 / preset("paper").sequential_limit == pytest.approx(1.0399, abs=5e-5)


@pytest.mark.parametrize(("change", "message"), [
    ({"banks": 12}, "banks must be a power of two, not 12"),
    ({"groups": 0}, "groups must be a power of two, not 0"),
    ({"groups": 1, "banks": 1}, "there must be no banks or at least 2, not 1"),
    ({"row_bursts": 0}, "row_bursts must be a power of two, not 0"),
    ({"ratio": 0}, "ratio must be at least 1, not 0"),
    ({"t_refi_bank": 1170, "refresh_banks": 4}, "refresh_banks must be less than banks, not 4"),
    ({"ranks": 3}, "ranks must be a power of two, not 3"),
    ({"ranks": 2, "t_refi_bank": 1170}, "ranks must be 1 without banks and where single banks are refreshed, not 2"),
    ({"t_refi": 500}, "t_refi must leave time between refreshes; 500 does not"),
])
def test_impossible(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(preset("ddr4-2400"), **change)


def test_repr_tells_every_number():
    """Cached builds are found by it."""
    for field in dataclasses.fields(Dram):
        assert f"{field.name}=" in repr(preset("paper"))
