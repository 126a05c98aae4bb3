"""The chart of areas: every engine beside the published one, with a panel for each kind of cell."""

from typing import TYPE_CHECKING

from golden.spec import FORMATS
from host.plots.style import WIDTH, clean, new_figure, styles, vertical
from host.printable import printable
from host.tables.area import AreaRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["area_chart"]

_CELLS = AreaRow.columns(("lut", "ff", "dsp", "bram"))
_PUBLISHED = ("#d55e00", "||")
"""Colour and hatch of published engines."""


def area_chart(rows: list[AreaRow]) -> "Figure | None":
    """Draw bars of whole engines; None when there is no row of a whole engine."""
    whole = [row for row in rows if row.block == "total"]
    if not whole:
        return None
    kinds = [max((name for name in FORMATS if row.engine.startswith(name)), key=len, default=row.engine)
             for row in whole]
    looks = styles(kinds)
    figure = new_figure(WIDTH, 1.0 + 2 * 0.22 * (len(whole) + 1))
    panels = figure.subplots(2, 2, sharey=True)
    names = [f"{row.engine}, {row.bus_bits} bits" + (" (published)" if row.source == "published" else "")
             for row in whole]
    for axes, column in zip(panels.flat, _CELLS, strict=True):
        for i, (row, kind) in enumerate(zip(whole, kinds, strict=True)):
            colour, hatch = (_PUBLISHED if row.source == "published"
                             else (looks[kind].colour, looks[kind].hatch))
            cells = getattr(row, column.key)
            axes.barh(i, cells, 0.75, color=colour, hatch=hatch, edgecolor="white", linewidth=0.3)
            axes.text(cells, i, f" {column.text(cells)}", va="center", fontsize=7)
        axes.margins(x=0.35)
        axes.set_title(f"{column.heading}, {column.unit}" if column.unit else column.heading, fontsize=9)
        axes.locator_params(axis="x", nbins=3)
        axes.tick_params(axis="x", labelsize=7)
        clean(axes, "x")
        vertical(axes, list(map(printable, names)))
        axes.tick_params(axis="y", labelsize=7)
    return figure
