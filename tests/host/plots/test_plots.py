"""Charts, by what is on their axes: the right points, told apart in print, and nothing where there is no row."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from host.measure import published
from host.plots.area import area_chart
from host.plots.error import explore_chart, quality_chart
from host.plots.roofline import measured_roofline, sweep_roofline
from host.plots.speedup import speedup_chart
from host.plots.style import byte_limit, numbered, save, styles
from host.plots.sweep import charts, cycles_by_cause, speedup_by_model, tokens_by_model
from host.tables.area import AreaRow
from host.tables.layer import LayerRow
from host.tables.quality import ExploreRow, QualityRow
from host.tables.roofline import RooflineRow
from host.tables.sweep import SweepRow
from tests.host.made_up import partial_row

WHITE = "#ffffff"


def marks(axes: Any) -> list[tuple[float, float, str, str, bool]]:
    """(x, y, marker, colour, filled) of every mark that there is."""
    return [(float(x), float(y), line.get_marker(), to_hex(line.get_color()),
             to_hex(line.get_markerfacecolor()) != WHITE)
            for line in axes.lines if line.get_linestyle() == "None" for x, y in zip(*line.get_data(), strict=True)]


def labels(axes: Any) -> list[str]:
    return [tick.get_text() for tick in axes.get_yticklabels()]


def test_series_differ_in_more_than_colour() -> None:
    many = styles(["fp16", "int4", "seedlm4", "seedlm3", "8,2,12", "2,1,2", "4,1,4"])
    assert len({look.colour for look in many.values()}) == len({look.marker for look in many.values()}) == len(many)
    assert len({look.hatch for look in many.values()}) == len(many)
    assert len({(numbered(i).colour, numbered(i).marker) for i in range(9)}) == 9
    assert styles(["seedlm4"])["seedlm4"] == many["seedlm4"]


def test_limits_by_bytes() -> None:
    assert [byte_limit(name) for name in ("fp16", "seedlm4", "seedlm3", "int4")] == [1, 4, 16 / 3, 16 / 4.125]


def test_speedup_by_model(sweep_rows: list[SweepRow]) -> None:
    figure = speedup_by_model(sweep_rows)
    assert figure is not None
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert [name.partition(":")[0] for name in panels] == ["int4", "seedlm4", "seedlm3"]
    models, paper = ["tiny-1B", "middle-7B", "large-70B"], ["paper, 512²", "paper, 1024²", "paper, 2048²"]
    for title, axes in panels.items():
        name = title.partition(":")[0]
        assert labels(axes) == (paper + models if name == "seedlm4" else models)
        at = {model: i for i, model in enumerate(labels(axes))}
        found = marks(axes)
        for memory, filled in (("ddr4-2400", True), ("hbm2", False)):
            wanted = {(row.speedup, at[row.model]) for row in sweep_rows if row.matrix == "layer"
                      and row.format == name and row.memory == memory}
            assert {(x, round(y)) for x, y, marker, _, of in found if of == filled and marker != "*"} == wanted
        assert len({(marker, colour) for _, _, marker, colour, _ in found if marker != "*"}) == 2
        limit = next(line for line in axes.lines if line.get_linestyle() == "--")
        assert set(limit.get_xdata()) == {byte_limit(name)}
        assert axes.get_xlim()[0] < min(x for x, *_ in found) < limit.get_xdata()[0] < axes.get_xlim()[1]
        stars = [(y, x) for x, y, marker, *_ in found if marker == "*"]
        assert stars == (list(enumerate(published.SPEEDUP.values())) if name == "seedlm4" else [])


def test_cycles_add_up(sweep_rows: list[SweepRow]) -> None:
    rows = [row for row in sweep_rows if row.memory == "ddr4-2400"]
    figure = cycles_by_cause(rows)
    assert figure is not None
    whole, rest = figure.axes
    lines = [text.get_text().split() for text in whole.get_yticklabels()]
    assert lines == [[model, name] for model in ("tiny-1B", "middle-7B", "large-70B")
                     for name in ("fp16", "int4", "seedlm4", "seedlm3")]
    by_key = {(row.model, row.format): row for row in rows if row.matrix == "layer"}
    for axes, causes in ((whole, 5), (rest, 4)):
        assert len(axes.containers) == causes
        assert len({(bars[0].get_facecolor(), bars[0].get_hatch()) for bars in axes.containers}) == causes
        for i, (model, name) in enumerate(lines):
            row = by_key[model, name]
            end = axes.containers[-1][i].get_x() + axes.containers[-1][i].get_width()
            wanted = (row.cycles / by_key[model, "fp16"].cycles if axes is whole
                      else 1 - row.beats / row.cycles)
            assert end == pytest.approx(100 * wanted)
            assert end < axes.get_xlim()[1]


def test_cycles_of_the_model_are_marked(sweep_rows: list[SweepRow]) -> None:
    figure = cycles_by_cause([row for row in sweep_rows if row.memory == "hbm2"])
    assert figure is not None
    assert all("(cycle model)" in text.get_text() for text in figure.axes[0].get_yticklabels())


def test_tokens_by_model(sweep_rows: list[SweepRow]) -> None:
    """A panel for each memory whose clock is known."""
    sweep_rows = [replace(row, tokens_per_s=None) if row.memory == "hbm2" else row for row in sweep_rows]
    figure = tokens_by_model(sweep_rows)
    assert figure is not None
    axes, = figure.axes
    assert axes.get_title(loc="left") == "ddr4-2400"
    assert labels(axes) == ["tiny-1B", "middle-7B", "large-70B"]
    wanted = sorted(row.tokens_per_s for row in sweep_rows if row.matrix == "model" and row.tokens_per_s)
    drawn = [bar for bar in axes.patches if bar.get_width() == bar.get_width()]
    assert sorted(bar.get_width() for bar in drawn) == wanted
    assert all(to_hex(bar.get_facecolor()) == WHITE for bar in drawn)  # all of them by the cycle model
    assert sorted(text.get_text() for text in axes.texts) == sorted(format(value, "#.3g") for value in wanted)


def test_roofline_of_a_sweep(sweep_rows: list[SweepRow]) -> None:
    figure = sweep_roofline(sweep_rows)
    assert figure is not None
    roof, share = figure.axes
    rows = [row for row in sweep_rows if row.matrix == "layer" and row.model == "large-70B"]
    assert {(x, y, filled) for x, y, _, _, filled in marks(roof)} == {
        (1 / row.bytes_per_weight, row.weights_per_cycle, row.source == "rtl") for row in rows}
    assert sorted(x for x, *_ in marks(share)) == sorted(100 * row.limit_fraction for row in rows)
    assert labels(share) == ["ddr4-2400", "hbm2"]
    assert len({y for _, y, *_ in marks(share)}) == len(rows)
    for axes in (roof, share):
        assert axes.get_xlim()[0] < axes.get_xlim()[1]
    # Bus and memories: 64 bytes a cycle less the refreshes. Lanes: as many weights as the bus brings at most.
    slanted = {str(line.get_label()): line for line in roof.lines if line.get_ydata()[0] == 0}
    assert [name.split(":")[0] for name in slanted] == ["bus", "ddr4-2400", "hbm2"]
    for line in slanted.values():
        assert 58 < line.get_ydata()[1] / line.get_xdata()[1] <= 64
    level = {line.get_ydata()[0]: line.get_xdata()[0] for line in roof.lines
             if len(line.get_ydata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]}
    assert level == pytest.approx({32: 0.5, 512 / 4.125: 8 / 4.125, 128: 2, 512 / 3: 8 / 3})
    for row in rows:
        assert row.weights_per_cycle < 512 * byte_limit(row.format) / 16


def test_roofline_measured() -> None:
    rows = [partial_row(RooflineRow, memory="ideal", format=name, bus_bits=64, weights_per_cycle=3.9,
                        achieved_fraction=0.99, source="rtl") for name in ("fp16", "seedlm4")]
    figure = measured_roofline(rows)
    assert figure is not None
    assert {x for x, *_ in marks(figure.axes[0])} == {0.5, 2}


def test_quality() -> None:
    """A bar for each method, the least error first; SeedLM stands out; nothing is cut off."""
    errors = {"int4, scale per row": 0.3, "seedlm4": 0.12, "int4, searched": 0.1}
    rows = [QualityRow(model=model, tensor=tensor, method=method, code_bits=4, bits_per_weight=4.0,
                       relative_error=error * share) for model in ("a", "b") for method, error in errors.items()
            for tensor, share in (("q_proj", 0.9), ("o_proj", 1.2), ("total", 1.0))]
    figure = quality_chart(rows)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a, 4 bits", "b, 4 bits"]
    for axes in figure.axes:
        assert [name.partition(" (")[0] for name in labels(axes)] == ["int4, searched", "seedlm4",
                                                                      "int4, scale per row"]
        bars = {bar.get_y(): bar for bar in axes.patches if bar.get_width() == bar.get_width()}
        assert [bars[y].get_width() for y in sorted(bars)] == [0.1, 0.12, 0.3]
        assert len({bars[y].get_facecolor() for y in bars}) == 2
        assert [tuple(line.get_xdata()) for line in axes.lines] == [
            pytest.approx((0.9 * error, 1.2 * error)) for error in sorted(errors.values())]
        assert axes.get_xlim() == (0, pytest.approx(1.12 * 0.36))


def test_labels_of_a_chart_of_formats_do_not_overlap() -> None:
    rows = [ExploreRow(weights=weights, bits_per_weight=bits, format=f"{c},3,16", c=c, p=3, k=16,
                       relative_error=2.0**-bits * more, best=more == 1.5)
            for weights in ("Gaussian", "real") for c, bits in enumerate((2.0, 2.5, 3.0, 3.5, 4.0), 6)
            for more in (1.5, 2.0, 3.0)]
    figure = explore_chart(rows, "a title")
    figure.canvas.draw()
    axes, = figure.axes
    assert len(axes.texts) == 5
    for of in (axes.texts, axes.get_yticklabels(), axes.get_xticklabels()):
        boxes = [text.get_window_extent() for text in of if text.get_text()]
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert all(figure.bbox.contains(*corner) for text in axes.texts for corner in text.get_window_extent().corners())


def test_speedup_of_a_layer() -> None:
    rows = [partial_row(LayerRow, matrix=matrix, format=name, speedup=speedup) for matrix in ("q_proj", "layer")
            for name, speedup in (("fp16", 1.0), ("seedlm4", 3.9), ("8,2,12", 3.1))]
    figure = speedup_chart(rows, "title")
    assert figure is not None
    axes, = figure.axes
    assert [[bar.get_width() for bar in bars] for bars in axes.containers] == [[3.9, 3.9], [3.1, 3.1]]
    assert [text.get_text() for text in axes.texts] == ["3.90", "3.90", "3.10", "3.10"]
    assert {line.get_xdata()[0] for line in axes.lines} == {1, 4, 16 / 3}
    assert speedup_chart([row for row in rows if row.format == "fp16"], "title") is None


def test_area() -> None:
    rows = [partial_row(AreaRow, engine=engine, bus_bits=512, block=block, lut=lut, ff=2, dsp=3, bram=4.5,
                        source="published" if "paper" in engine else "synthesised")
            for engine, block, lut in (("seedlm4-128dsp", "MAC", 5), ("seedlm4-128dsp", "total", 12_833),
                                       ("fp16", "total", 14_952), ("paper, 4 bits", "total", 67_000))]
    figure = area_chart(rows)
    assert figure is not None
    assert [[bar.get_width() for bar in axes.patches] for axes in figure.axes] == [
        [12_833, 14_952, 67_000], [2] * 3, [3] * 3, [4.5] * 3]
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["seedlm4-128dsp, 512 bits", "fp16, 512 bits", "paper, 4 bits, 512 bits (published)"]
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in figure.axes[0].patches}) == 3
    assert area_chart(rows[:1]) is None


def draw(rows: list[SweepRow], folder: Path) -> list[Path]:
    """Every chart that there is of a sweep, as files."""
    return [path for name, figure in charts(rows).items() if figure for path in save(figure, folder, name)]


def test_drawing(sweep_rows: list[SweepRow], tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    paths = draw(sweep_rows, tmp_path)
    names = ["speedup", "roofline", "cycles-ddr4-2400", "cycles-hbm2", "tokens"]
    assert [path.name for path in paths] == [f"{name}.{kind}" for name in names for kind in ("svg", "png")]
    for path in paths:
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag.endswith("svg")
        else:
            assert len(np.unique(np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3), axis=0)) > 20
    again = speedup_by_model(sweep_rows)
    assert again is not None
    assert save(again, tmp_path / "again", "speedup")[0].read_bytes() == paths[0].read_bytes()


def test_nothing_to_draw(tmp_path: Path) -> None:
    assert draw([], tmp_path) == []
    alone = partial_row(SweepRow, model="tiny-1B", matrix="q_proj", format="fp16", memory="paper", bus_bits=512,
                        cycles=5, weights=9, source="rtl")
    assert draw([alone], tmp_path) == []
    assert list(tmp_path.iterdir()) == []
