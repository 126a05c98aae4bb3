"""Charts of what compression costs: error by tensor, and error against bits per weight."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from host.plots.style import COLOURS, LINES, MARKERS, clean, new_figure
from host.tables.quality import ExploreRow, QualityRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["explore_chart", "quality_chart"]


def quality_chart(rows: Sequence[QualityRow]) -> "Figure":
    """Draw the relative error of every tensor: a panel for each model and number of bits, a line for each method.

    Tensors of one kind, such as all ``q_proj``, stand side by side.
    """
    models = list(dict.fromkeys(row.model for row in rows))
    figure = new_figure(11, 4 * len(models))
    panels = figure.subplots(len(models), 2, squeeze=False, sharex="row")
    for line, model in enumerate(models):
        for column, bits in enumerate((4, 3)):
            axes = panels[line][column]
            chosen = [row for row in rows if row.model == model and row.code_bits == bits]
            # Sorted by the name without the layer's number, so that tensors of one kind stand side by side.
            names = sorted(dict.fromkeys(row.tensor for row in chosen if row.tensor != "total"),
                           key=lambda name: ([part for part in name.split(".") if not part.isdigit()], name))
            at = {name: i for i, name in enumerate(names)}
            for i, method in enumerate(dict.fromkeys(row.method for row in chosen)):
                own = [row for row in chosen if row.method == method]
                total = next(row for row in own if row.tensor == "total")
                points = sorted((at[row.tensor], row.relative_error) for row in own if row.tensor != "total")
                axes.plot(*zip(*points, strict=True), color=COLOURS[i % 6], marker=MARKERS[i % 6], markersize=2,
                          linewidth=0.8, linestyle=LINES[i % 6],
                          label=f"{method}: {total.relative_error:.4f} at {total.bits_per_weight:.2f} bits")
            axes.set_title(f"{model}, {bits} bits", fontsize=10)
            axes.set_xlabel(f"{len(names)} tensors, same kinds side by side")
            axes.set_ylabel("relative error")
            axes.set_yscale("log")
            clean(axes)
            axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    return figure


def explore_chart(rows: Sequence[ExploreRow], title: str) -> "Figure":
    """Draw the error of every format against its bits per weight.

    A line joins the best formats of each kind of weights. Another line is the least relative error that any code of so
    many bits can have on Gaussian weights: 2**-bits, from the rate-distortion function of a Gaussian source.
    """
    figure = new_figure(8, 5)
    axes = figure.subplots()
    sources = list(dict.fromkeys(row.weights for row in rows))
    for i, name in enumerate(sources):
        own = [row for row in rows if row.weights == name]
        best = sorted((row.bits_per_weight, row.relative_error, row.format) for row in own if row.best)
        axes.scatter([row.bits_per_weight for row in own], [row.relative_error for row in own], s=10,
                     color=COLOURS[i % 6], marker=MARKERS[i % 6], alpha=0.4)
        axes.plot([point[0] for point in best], [point[1] for point in best], color=COLOURS[i % 6],
                  marker=MARKERS[i % 6], linestyle=LINES[i % 6], label=f"{name}: best of each width")
        if i == 0:
            for bits, error, label in best:
                axes.annotate(label, (bits, error), fontsize=7, xytext=(6, -10), textcoords="offset points")
    widths = sorted({row.bits_per_weight for row in rows})
    axes.plot(widths, [2.0**-bits for bits in widths], color="black", linewidth=0.8, linestyle=":",
              label="no code is better on Gaussian weights: 2^-bits")
    axes.set_yscale("log")
    axes.set_xlabel("bits per weight")
    axes.set_ylabel("relative error")
    axes.set_title(title, fontsize=10)
    clean(axes)
    axes.legend(fontsize=8, frameon=False)
    return figure
