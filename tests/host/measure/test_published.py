"""The memory preset ``paper`` against the figures that the paper's authors publish."""

from dataclasses import fields

import pytest

from host.measure.published import CYCLES, SPEEDUP, beside_published
from host.tables.layer import LayerRow, PaperRow
from sim.dram.presets import PRESETS, preset

START_UP = 255
"""Cycles from a request to its first word, our fit; the memory's own test holds the preset to it."""


def cycles(size: int, bits: int) -> float:
    """Cycles by the fit of a square matrix's weights, of so many bits each, on a bus of 512 bits."""
    return size * size * bits / 512 / preset("paper").sequential_limit + START_UP


@pytest.mark.parametrize(("name", "bits"), [("fp16", 16), ("seedlm4", 4)])
def test_the_preset_is_a_line_through_both_published_counts(name: str, bits: int) -> None:
    assert cycles(2048, bits) == pytest.approx(CYCLES["2048x2048", name], abs=3)


@pytest.mark.parametrize(("size", "ours"), [(512, 3.68), (1024, 3.91), (2048, 3.98)])
def test_its_speedups_are_near_the_published_ones(size: int, ours: float) -> None:
    found = cycles(size, 16) / cycles(size, 4)
    assert found == pytest.approx(ours, abs=0.005)
    assert found == pytest.approx(SPEEDUP[f"{size}x{size}"], abs=0.011)


@pytest.mark.parametrize("memory", PRESETS)
def test_published_figures_stand_beside_rows_of_the_papers_memory_alone(memory: str) -> None:
    columns = {column.key: None for column in LayerRow.columns()} | {"matrix": "2048x2048", "format": "seedlm4"}
    values = {name: columns.get(name) for name in (field.name for field in fields(LayerRow))} | {"memory": memory}
    (row,) = beside_published([LayerRow(**values)])
    headings = {column.heading for column in row.columns()}
    if memory == "paper":
        assert isinstance(row, PaperRow)
        assert (row.published_cycles, row.published_speedup) == (34_331, 3.98)
        assert {"paper cycles", "paper speed-up"} <= headings
    else:
        assert not {"paper cycles", "paper speed-up"} & headings
        assert "published_cycles" not in row.record()
