"""The chart of speed-ups over FP16, matrix by matrix."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from host.plots.style import LINES, WIDTH, bars, byte_limit, clean, legend_below, new_figure, styles, vertical
from host.printable import printable
from host.tables.layer import LayerRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["speedup_chart"]


def speedup_chart(rows: Sequence[LayerRow], title: str) -> "Figure | None":
    """Draw bars of the speed-up over FP16 of each other format, matrix by matrix, under the ratio of their bytes.

    Returns None when rows have no speed-up, or all are FP16's.
    """
    formats = [name for name in dict.fromkeys(row.format for row in rows) if name != "fp16"]
    matrices = list(dict.fromkeys(row.matrix for row in rows))
    if not formats or any(row.speedup is None for row in rows):
        return None
    by_key = {(row.matrix, row.format): row for row in rows}
    looks = styles(formats)
    figure = new_figure(WIDTH, 1.6 + 0.19 * len(matrices) * (len(formats) + 0.7))
    axes = figure.subplots()
    for i, name in enumerate(formats):
        bars(axes, i, len(formats), [by_key[matrix, name].speedup or 0.0 for matrix in matrices], looks[name], name,
             ".2f")
        limit = byte_limit(name)
        axes.axvline(limit, color=looks[name].colour, linestyle=LINES[1 + i % 5], linewidth=1.2,
                     label=f"{16 / limit:.4g} of 16 bits: {limit:.4g}")
    axes.axvline(1, color="black", linewidth=0.8, label="FP16")
    vertical(axes, list(map(printable, matrices)))
    axes.set_xlabel("speed-up over FP16, same memory")
    axes.set_title(title, fontsize=10)
    axes.margins(x=0.05)
    clean(axes, "x")
    legend_below(figure, axes, 3)
    return figure
