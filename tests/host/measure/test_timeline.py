"""A timeline of a run on the native simulator: every cycle is in it once, and what passed is what was to pass."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from golden.spec import parse_format
from host.measure.layer import Job
from host.measure.matrices import Matrix
from host.measure.timeline import Timeline, timeline, timeline_steps
from host.plots.timeline import _HALF, _LOOKS, timeline_chart
from hw.config import EngineConfig
from sim.timeline import device
from sim.timeline.streams import WAYS, ways

JOB = Job(("int4",), "ddr4-2400", 32, "verilator")
SHAPES = {"a": (24, 512), "b": (40, 256)}


def test_what_a_cycle_is() -> None:
    """Bits of the first two streams and of the memory: the last word of a stream ends it, not its last wait."""
    read = [0b01, 0b00, 0b00, 0b11, 0b00]
    words = [0b10, 0b11, 0b11, 0b00, 0b01]
    refreshing, reading = [0, 1, 0, 1, 1], [1, 1, 1, 1, 0]
    signals = np.array([r | w << 2 | f << 12 | d << 13 for r, w, f, d in zip(read, words, refreshing, reading,
                                                                              strict=True)], np.uint32)
    found = [[list(WAYS)[way] for way in row] for row in ways(signals)]
    assert found[0] == ["consumer", "refresh", "producer", "moved", "over"]
    assert found[1] == ["producer", "moved", "moved", "over", "over"]
    assert found[5] == ["over"] * 5


@pytest.fixture(scope="module")
def found() -> Timeline:
    """Two matrices as a chain, long enough for a refresh."""
    rng, build = np.random.default_rng(1), device.build
    matrices = [Matrix(name, rng.normal(0, 0.02, shape).astype(np.float32)) for name, shape in SHAPES.items()]
    assert [step.begins for step in timeline_steps(JOB, matrices)] == [("int4: build the simulator",),
                                                                       ("int4: simulate all as a chain",)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "build", lambda *args, **options: build(*args, **{**options, "fast": False}))
        return timeline(JOB, matrices)


def test_the_run_at_each_stream(found: Timeline) -> None:
    """Cycles add up; words, sums and results are as many as the matrices have; the counters agree, or it would fail."""
    config = EngineConfig(parse_format("int4"), JOB.bus_bits)
    groups = [-(-rows // config.lanes) for rows, _ in SHAPES.values()]
    words = sum(count * config.blocks(cols) for count, (_, cols) in zip(groups, SHAPES.values(), strict=True))
    read, blocks, activations, sums, results, written = (row for row in found.rows if row.view == "run")
    for row in (read, blocks, activations, sums, results, written):
        assert row.moved + row.producer + row.refresh + row.consumer + row.over == row.cycles == read.cycles
        assert row.bit_exact
    assert blocks.moved == activations.moved == words
    assert sums.moved == sum(groups)
    assert results.moved == config.lanes * sum(groups)
    assert written.moved == -(-4 * sum(rows for rows, _ in SHAPES.values()) // config.bus_bytes)
    assert read.refresh > 0
    assert read.over > written.over > 0


def test_buckets_add_up(found: Timeline) -> None:
    views: dict[tuple[str, str], Any] = {}
    for row in found.rows:
        views.setdefault((row.view, row.stage), []).append(row)
    for (view, stage), rows in views.items():
        assert all(row.start + row.cycles == after.start for row, after in pairwise(rows))
        for name in ("cycles", *WAYS):
            if view == "whole":
                assert sum(getattr(row, name) for row in rows) == getattr(views["run", stage][0], name), (stage, name)
    a, b = found.matrices
    assert (a.name, b.name) == ("a", "b")
    assert 0 < a.first < a.last < b.first < b.last
    changing = views["change-over", "unpacker → lanes"]
    assert changing[0].start < a.last < b.first < changing[-1].start
    assert views["end", "write DMA → memory"][-1].over > 0


def area(outline: np.ndarray) -> float:
    """Of a polygon."""
    x, y = outline.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def test_the_chart(found: Timeline) -> None:
    """Areas are cycles."""
    figure = timeline_chart(found.rows, [(each.name, each.first, each.last) for each in found.matrices], "a title")
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a title", "from a to b",
                                                                    "the end: results are rounded and written"]
    for axes, view in zip(figure.axes, ("whole", "change-over", "end"), strict=True):
        assert len(axes.get_yticklabels()) == 6
        rows = [row for row in found.rows if row.view == view]
        drawn = [sum(area(path.vertices[:-1]) for each in axes.collections for path in each.get_paths()
                     if to_hex(each.get_facecolor()[0]) == colour) for _, colour, _ in _LOOKS.values()]
        assert drawn == pytest.approx([2 * _HALF * sum(getattr(row, way) for row in rows) for way in WAYS])
    assert timeline_chart([row for row in found.rows if row.view == "run"], [], "") is None
