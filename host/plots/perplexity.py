"""Charts of what a model says with weights of many codes: increase of perplexity, and divergence, against bits."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from host.plots.style import LINES, WIDTH, clean, legend_below, new_figure, numbered
from host.printable import printable
from host.tables.perplexity import PerplexityRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["kl_chart", "perplexity_chart"]

_MOST_BITS = 6
"""Codes of more bits than these are hardly worse than the model as it is, and would squeeze the others together."""


def _chart(rows: Sequence[PerplexityRow], value: Callable[[PerplexityRow], tuple[float, float | None]],
           label: str) -> "Figure | None":
    """Draw a value and its standard error against stored bits, a line for each family; None where there is nothing to
    draw. Only positive values are drawn, on a logarithmic scale."""
    drawn = [row for row in rows if row.kl > 0 and row.bits_per_weight <= _MOST_BITS and value(row)[0] > 0]
    if not drawn:
        return None
    figure = new_figure(WIDTH, 6.5)
    axes = figure.subplots()
    for number, family in enumerate(dict.fromkeys(row.family for row in drawn)):
        own = sorted((row for row in drawn if row.family == family), key=lambda row: row.bits_per_weight)
        look = numbered(number)
        axes.errorbar([row.bits_per_weight for row in own], [value(row)[0] for row in own],
                      yerr=[value(row)[1] or 0 for row in own], color=look.colour, marker=look.marker,
                      linestyle=LINES[number % len(LINES)], linewidth=1, capsize=2, label=printable(family))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")  # the default one writes formulas
    axes.set_xlabel("stored bits for one weight of the decoder's matrices")
    axes.set_ylabel(label)
    axes.set_title(f"{drawn[0].model}, {drawn[0].tokens:,} predictions, standard errors over windows", fontsize=8)
    clean(axes)
    legend_below(figure, axes, 2)
    return figure


def perplexity_chart(rows: Sequence[PerplexityRow]) -> "Figure | None":
    """Draw the increase of perplexity over the shipped model, in per cent."""
    return _chart(rows, lambda row: (100 * row.increase,
                                     None if row.increase_error is None else 100 * row.increase_error),
                  "increase of perplexity in %")


def kl_chart(rows: Sequence[PerplexityRow]) -> "Figure | None":
    """Draw the divergence from the shipped model's predictions, in nats."""
    return _chart(rows, lambda row: (row.kl, row.kl_error), "divergence from the shipped model in nats")
