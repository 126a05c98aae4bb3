"""The chart of speed-ups over FP16, matrix by matrix."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from host.plots.style import byte_limit, clean, new_figure, styles
from host.tables.layer import LayerRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["speedup_chart"]

_LINES = ("--", ":", "-.", "-")


def speedup_chart(rows: Sequence[LayerRow], title: str) -> "Figure | None":
    """Draw bars of the speed-up over FP16 of each other format, matrix by matrix, under the ratio of their bytes.

    Returns None when rows have no speed-up, or all are FP16's.
    """
    formats = [name for name in dict.fromkeys(row.format for row in rows) if name != "fp16"]
    matrices = list(dict.fromkeys(row.matrix for row in rows))
    if not formats or any(row.speedup is None for row in rows):
        return None
    by_key = {(row.matrix, row.format): row for row in rows}
    width = 0.8 / max(len(formats), 1)
    looks = styles(formats)
    figure = new_figure(max(8, len(matrices)), 4)
    axes = figure.subplots()
    for i, name in enumerate(formats):
        at = [n + (i - (len(formats) - 1) / 2) * width for n in range(len(matrices))]
        values = [by_key[matrix, name].speedup or 0.0 for matrix in matrices]
        bars = axes.bar(at, values, width * 0.94, color=looks[name].colour, hatch=looks[name].hatch, edgecolor="white",
                        label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=7, label_type="center",
                       bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        limit = byte_limit(name)
        axes.axhline(limit, color=looks[name].colour, linestyle=_LINES[i % 4], linewidth=1,
                     label=f"{name}: 16 bits / {16 / limit:.4g} bits = {limit:.4g}")
    axes.axhline(1, color="black", linewidth=0.8, label="FP16 baseline")
    axes.set_xticks(range(len(matrices)), matrices)
    axes.set_ylabel("speed-up over FP16, same memory")
    axes.set_title(title, fontsize=10)
    axes.margins(y=0.15)
    clean(axes)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False)
    return figure
