"""The map of areas: parts are in proportion, inside their engine, and can be read."""

import random
from typing import Any

import pytest

from host.plots.treemap import area_treemap, split
from host.results.parts import PARTS
from host.results.store import load
from host.tables.area import AreaRow
from tests.host.made_up import partial_row


def areas(figure: Any) -> dict[str, list[float]]:
    """Areas of all parts, by block."""
    found: dict[str, list[float]] = {}
    for patch in figure.axes[0].patches:
        found.setdefault(patch.get_gid(), []).append(patch.get_width() * patch.get_height())
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 9, 40])
def test_a_box_is_divided_in_proportion(count: int) -> None:
    """Nothing overlaps, because all are inside and their areas add up to the box's, and pairs are apart."""
    rng = random.Random(count)
    sizes = [rng.uniform(0.1, 20) for _ in range(count)]
    parts = list(split(sizes, (1, 2, 3, 0.5)))
    for size, (left, bottom, width, height) in zip(sizes, parts, strict=True):
        assert width * height == pytest.approx(1.5 * size / sum(sizes))
        assert left >= 1
        assert bottom >= 2
        assert left + width <= 4 + 1e-9
        assert bottom + height <= 2.5 + 1e-9
    for i, (left, bottom, width, height) in enumerate(parts):
        for other_left, other_bottom, other_width, other_height in parts[:i]:
            across = min(left + width, other_left + other_width) - max(left, other_left)
            along = min(bottom + height, other_bottom + other_height) - max(bottom, other_bottom)
            assert min(across, along) < 1e-9


def row(engine: str, block: str, lut: int, dsp: int = 0) -> AreaRow:
    return partial_row(AreaRow, engine=engine, bus_bits=512, block=block, lut=lut, ff=2, dsp=dsp, bram=0.0,
                       source="synthesised")


def test_one_engine_of_each_format_on_one_scale() -> None:
    rows = [row("fp16", "MAC", 300), row("fp16", "total", 999), row("seedlm4-256dsp", "decode", 5, 128),
            row("seedlm4-128dsp", "decode", 800), row("seedlm4-128dsp", "MAC", 400),
            row("seedlm4-128dsp", "control", 0), row("seedlm4-128dsp-r2", "decode", 900), row("int8", "MAC", 7),
            row("paper, 4 bits", "total", 67_000)]
    figure = area_treemap(rows)
    assert figure is not None
    assert areas(figure) == {"decode": [pytest.approx(800 / 1200)],
                             "MAC": [pytest.approx(400 / 1200), pytest.approx(300 / 1200)]}
    titles = [text.get_text() for text in figure.axes[0].texts if text.get_text().endswith("LUTs")]
    assert titles == ["seedlm4-128dsp: 1,200 LUTs", "fp16: 300 LUTs"]
    assert area_treemap([row("fp16", "total", 5)]) is None


def test_the_engines_that_are_published() -> None:
    """No two blocks look alike, no words meet, and labels are inside their parts."""
    stored = load(PARTS["area"])
    assert stored
    figure: Any = area_treemap([AreaRow(**each) for each in stored.rows])
    figure.canvas.draw()
    axes, = figure.axes
    looks = {patch.get_gid(): (patch.get_facecolor(), patch.get_hatch()) for patch in axes.patches}
    assert len(looks) == len(set(looks.values())) >= 8
    assert {text.get_text().split(":")[0] for text in axes.texts if "LUTs" in text.get_text()} == {
        "fp16", "int4", "seedlm4-128dsp", "seedlm3"}
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert all(figure.bbox.contains(*corner) for box in boxes for corner in box.corners())
    parts = [patch.get_window_extent() for patch in axes.patches]
    for text, box in zip(axes.texts, boxes, strict=True):
        if "LUTs" not in text.get_text():
            assert any(all(part.contains(*corner) for corner in box.corners()) for part in parts), text.get_text()
