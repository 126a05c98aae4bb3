"""Charts of what compression costs: error by method, and error against bits per weight."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from host.plots.style import COLOURS, LINES, MARKERS, WIDTH, Style, bars, clean, legend_below, new_figure, vertical
from host.printable import printable
from host.tables.quality import ExploreRow, QualityRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["explore_chart", "quality_chart"]

_OURS, _OTHERS = Style(COLOURS[0], "o", ""), Style("#a6a6a6", "s", "//")
"""Looks of SeedLM and of what it is compared with."""
_LABELLED = 12
"""Best formats that have room for their names."""


def quality_chart(rows: Sequence[QualityRow]) -> "Figure":
    """Draw the relative error over all tensors: a panel for each model and number of bits, a bar for each method, the
    least error first; and how far single tensors spread around it."""
    totals = [row for row in rows if row.tensor == "total"]
    panels = list(dict.fromkeys((row.model, row.code_bits) for row in totals))
    counts = [sum((row.model, row.code_bits) == panel for row in totals) for panel in panels]
    figure = new_figure(WIDTH, 0.5 + sum(0.55 + 0.22 * count for count in counts))
    drawn = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[1 + count for count in counts])
    for axes, (model, bits) in zip(drawn[:, 0], panels, strict=True):
        own = sorted((row for row in totals if (row.model, row.code_bits) == (model, bits)),
                     key=lambda row: row.relative_error)
        nan = float("nan")
        for look, name, mine in ((_OURS, "SeedLM", True), (_OTHERS, "other codes", False)):
            bars(axes, 0, 1, [row.relative_error if row.method.startswith("seedlm") == mine else nan for row in own],
                 look, name, ".4f")
        for i, row in enumerate(own):
            single = [each.relative_error for each in rows
                      if (each.model, each.method) == (model, row.method) and each.tensor != "total"]
            if single:
                axes.plot([min(single), max(single)], [i + 0.36] * 2, color="black", linewidth=0.8,
                          label=None if i else "from the best tensor to the worst")
        vertical(axes, [f"{printable(row.method)} ({row.bits_per_weight:.3g} bits)" for row in own])
        axes.set_title(f"{model}, {bits} bits", fontsize=9, loc="left")
        axes.set_xlim(0, 1.12 * max(row.relative_error for row in rows))
        clean(axes, "x")
    if panels:
        drawn[-1, 0].set_xlabel("relative error of the weights, less is better")
        legend_below(figure, drawn[0, 0], 3)
    return figure


def explore_chart(rows: Sequence[ExploreRow], title: str) -> "Figure":
    """Draw the error of every format against its bits per weight.

    A line joins the best formats of each kind of weights. Another line is the least relative error that any code of so
    many bits can have on Gaussian weights: 2**-bits, from the rate-distortion function of a Gaussian source.
    """
    figure = new_figure(WIDTH, 4.8)
    axes = figure.subplots()
    sources = list(dict.fromkeys(row.weights for row in rows))
    for i, name in enumerate(sources):
        own = [row for row in rows if row.weights == name]
        best = sorted((row.bits_per_weight, row.relative_error, row.format) for row in own if row.best)
        axes.scatter([row.bits_per_weight for row in own], [row.relative_error for row in own], s=10,
                     color=COLOURS[i % 6], marker=MARKERS[i % 6], alpha=0.4)
        axes.plot([point[0] for point in best], [point[1] for point in best], color=COLOURS[i % 6],
                  marker=MARKERS[i % 6], linestyle=LINES[i % 6], label=f"{printable(name)}: best of each width")
        if i == 0 and len(best) <= _LABELLED:
            for bits, error, label in best:
                axes.annotate(label, (bits, error), fontsize=8, xytext=(-4, -6), textcoords="offset points", ha="right",
                              va="top", rotation=45 if len(best) > 4 else 0,
                              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    widths = sorted({row.bits_per_weight for row in rows})
    axes.plot(widths, [2.0**-bits for bits in widths], color="black", linewidth=0.8, linestyle=":",
              label="no code is better on Gaussian weights: 2^-bits")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.margins(x=0.15, y=0.1)
    axes.set_xlabel("bits per weight")
    axes.set_ylabel("relative error, less is better")
    axes.set_title(title, fontsize=9)
    clean(axes)
    legend_below(figure, axes, 1)
    return figure
