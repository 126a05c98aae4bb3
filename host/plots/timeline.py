"""The timeline of a run: at each of the engine's streams, how its cycles go, over all of the run and closely at two
places."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from host.plots.style import FONT, WIDTH, clean, new_figure, vertical
from host.printable import printable
from host.tables.timeline import TimelineRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["timeline_chart"]

_LOOKS = {"moved": ("a word passes", "#0072b2", ""), "producer": ("waits for what comes before", "#e69f00", "//"),
          "refresh": ("memory's refresh", "#009e73", ".."), "consumer": ("waits for what comes after", "#cc79a7", "xx"),
          "over": ("all has passed", "#56b4e9", "\\\\")}
"""Label, colour and hatch of each class; the same as of the causes in charts of cycles."""
_FAINT = {"producer": 0.45}
"""Opacity of a class that takes most of many streams' cycles."""
_HALF = 0.42
"""Half of the height of a stream's band."""


def _steps(edges: Sequence[int], low: Sequence[float], high: Sequence[float]) -> Iterator[list[tuple[float, float]]]:
    """Yield the outlines between two lines of steps, of each stretch where they are apart: a level for each pair of
    edges, and no corner where a level stays, so that the file is small."""
    levels = list(zip(edges, edges[1:], low, high, strict=False))
    for apart, stretch in groupby(levels, key=lambda level: level[2] != level[3]):
        if apart:
            own = list(stretch)
            there, back = list[tuple[float, float]](), list[tuple[float, float]]()
            for place, line in ((2, there), (3, back)):
                for level, same in groupby(own, key=lambda level, place=place: level[place]):  # type: ignore[misc]
                    parts = list(same)
                    line += [(parts[0][0], level), (parts[-1][1], level)]
            yield there + back[::-1]


def _band(axes: "Axes", at: int, rows: Sequence[TimelineRow]) -> None:
    """Draw a stream: shares of each bucket, stacked, with the words that pass at the bottom."""
    from matplotlib.collections import PolyCollection

    edges = [row.start for row in rows] + [rows[-1].start + rows[-1].cycles]
    counts, below = [0] * len(rows), [at + _HALF] * len(rows)
    for key, (_, colour, hatch) in _LOOKS.items():
        counts = [count + getattr(row, key) for count, row in zip(counts, rows, strict=True)]
        above = [at + _HALF - 2 * _HALF * count / row.cycles for count, row in zip(counts, rows, strict=True)]
        if drawn := list(_steps(edges, below, above)):
            axes.add_collection(PolyCollection(drawn, facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0,
                                               alpha=_FAINT.get(key)), autolim=False)
        below = above


def timeline_chart(rows: Sequence[TimelineRow], matrices: Sequence[tuple[str, int, int]], title: str
                   ) -> "Figure | None":
    """Draw the views of a timeline below each other; None without rows.

    Parameters
    ----------
    matrices : sequence of (str, int, int)
        Their names, and the cycles of their first and last words.
    """
    from matplotlib.patches import Patch

    views = {view: list(own) for view, own in groupby(rows, key=lambda row: row.view) if view != "run"}
    if not views:
        return None
    names = {"whole": title, "end": "the end: results are rounded and written"}
    if len(matrices) > 1:
        names["change-over"] = f"from {printable(matrices[0][0])} to {printable(matrices[1][0])}"
    figure = new_figure(WIDTH, 1.3 + 2.1 * len(views))
    panels = figure.subplots(len(views), 1, squeeze=False)[:, 0]
    for axes, (view, own) in zip(panels, views.items(), strict=True):
        stages = list(dict.fromkeys(row.stage for row in own))
        for at, stage in enumerate(stages):
            _band(axes, at, [row for row in own if row.stage == stage])
        left, right = own[0].start, own[-1].start + own[-1].cycles
        axes.set_xlim(left, right)
        vertical(axes, stages)
        axes.set_title(names[view], fontsize=9, loc="left")
        axes.tick_params(axis="x", labelsize=FONT)
        axes.ticklabel_format(axis="x", useOffset=False, style="plain")
        clean(axes, "x")
        for _, first, last in matrices:
            for cycle in (first, last):
                if left < cycle < right:
                    axes.axvline(cycle, color="black", linewidth=0.6)
    places = [(first + last) / 2 for _, first, last in matrices]
    panels[0].secondary_xaxis("top").set_xticks(places, [printable(name) for name, *_ in matrices], fontsize=FONT - 1,
                                                rotation=90)
    panels[-1].set_xlabel("cycles since the start; lines: first and last word of a matrix in the lanes", fontsize=FONT)
    figure.legend(handles=[Patch(facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label,
                                 alpha=_FAINT.get(key)) for key, (label, colour, hatch) in _LOOKS.items()],
                  loc="outside lower center", ncols=3, frameon=False, fontsize=FONT)
    return figure
