"""What a sequential stream of reads gets from each memory, measured in RTL, against what the numbers say."""

import dataclasses

import pytest

from sim.device.memory_rate import sequential_rate
from sim.dram.presets import PRESETS, VARIANTS

DRAMS = [name for name, dram in PRESETS.items() if dram.banks]


def without_refresh(dram):
    return dataclasses.replace(dram, t_rfc=0, t_refi=0, t_rfc_bank=0, t_refi_bank=0)


def rate(dram, data_bits=64):
    return sequential_rate(dram, data_bits, "icarus")


@pytest.mark.parametrize("name", DRAMS)
def test_limit(name):
    dram = PRESETS[name]
    if not dram.t_refi_bank:
        expected = 1 - ((dram.t_rp_all or dram.t_rp) + dram.t_rfc + dram.t_rcd) / dram.t_refi
        assert dram.sequential_limit == pytest.approx(expected, abs=3e-3)
    assert rate(dram) == pytest.approx(dram.sequential_limit, abs=1e-3)


@pytest.mark.parametrize("name", ["lpddr4-2400-perbank", "lpddr5-6400-allbank"])
def test_limit_under_other_refreshes(name):
    assert rate(VARIANTS[name]) == pytest.approx(VARIANTS[name].sequential_limit, abs=3e-3)


@pytest.mark.parametrize("name", DRAMS)
def test_all_of_the_peak_without_refresh(name):
    assert rate(without_refresh(PRESETS[name])) == 1.0


@pytest.mark.parametrize(("name", "low", "high"), [("ddr4-2400", 0.60, 0.78), ("ddr4-3200", 0.46, 0.5)])
def test_columns_lowest_costs_what_the_bank_groups_save(name, low, high):
    dram = dataclasses.replace(PRESETS[name], columns_lowest=True)
    slower = PRESETS[name].sequential_limit * dram.t_ccd_s / dram.t_ccd_l
    assert dram.sequential_limit == pytest.approx(slower, rel=1e-3)
    measured = rate(dram)
    assert low <= measured <= high
    assert measured == pytest.approx(dram.sequential_limit, abs=3e-3)


@pytest.mark.parametrize(("change", "data_bits", "words_a_cycle"), [
    ({"ratio": 3}, 64, 3 / 4),  # the fabric faster than the words
    ({"ratio": 8}, 64, 1),  # and slower
    ({"burst_bits": 64, "columns_lowest": True}, 128, 4 / (4 + 6)),  # a word of two bursts, tCCD_L apart
    ({"burst_bits": 128}, 64, 1),  # half of every burst is lost
])
def test_clocks_and_widths(change, data_bits, words_a_cycle):
    dram = dataclasses.replace(without_refresh(PRESETS["ddr4-2400"]), **change)
    assert dram.word_rate(data_bits) == pytest.approx(words_a_cycle)
    if "columns_lowest" in change:
        assert rate(dram, data_bits) == pytest.approx(10 / 12, abs=5e-3)  # tCCD_L between words too
    else:
        assert rate(dram, data_bits) == pytest.approx(1.0, abs=1e-3)
