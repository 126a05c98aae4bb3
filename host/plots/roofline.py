"""Rooflines: weights a cycle against weights for each byte of traffic, under what memory and engine can do at most."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from golden.spec import parse_format
from host.plots.style import LINES, WIDTH, clean, legend_below, new_figure, numbered, styles, vertical
from host.tables.roofline import RooflineRow
from host.tables.sweep import SweepRow
from sim.dram.presets import preset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["measured_roofline", "sweep_roofline"]


_CLOSE = 0.08
"""Share of the highest roof: the name of a roof stands below it where another is as near above."""


@dataclass(frozen=True)
class _Point:
    """An engine on a memory; ``name`` is its format, ``limit_fraction`` the share of the memory's sequential limit."""

    name: str
    memory: str
    weights_per_byte: float
    weights_per_cycle: float
    limit_fraction: float
    source: str


def _roofs(axes: "Axes", formats: list[str], memories: list[str], bus_bits: int, right: float) -> None:
    """Draw the slanted roofs of bus and memories, which end where the lanes of each engine are all at work, and the
    level roof of each engine from there on."""
    axes.plot([0, right], [0, right * bus_bits / 8], color="black", linewidth=1.2,
              label=f"bus: {bus_bits / 8:g} bytes a cycle")
    for i, memory in enumerate(memories):
        dram = preset(memory)
        rate = dram.sequential_limit * dram.word_rate(bus_bits) * bus_bits / 8
        axes.plot([0, right], [0, right * rate], color=numbered(i).colour, linewidth=0.9, linestyle=LINES[1 + i % 5],
                  label=f"{memory}: {rate:.4g} bytes a cycle")
    levels = sorted(((bus_bits / parse_format(name).bits_per_weight, name) for name in formats), reverse=True)
    above = inf
    for level, name in levels:
        axes.plot([level * 8 / bus_bits, right], [level] * 2, color="#404040", linewidth=1.6)
        below = above - level < _CLOSE * levels[0][0]
        axes.annotate(f"lanes of {name}: {level:.4g}", (right, level), fontsize=8, ha="right", va="top" if below else
                      "bottom", xytext=(-2, -2 if below else 1), textcoords="offset points")
        above = level


def _figure(points: list[_Point], bus_bits: int, title: str) -> "Figure | None":
    """Draw points under the roofs of bus, memories and engines, and below it their shares; None without points."""
    if not points:
        return None
    formats, memories = (list(dict.fromkeys(getattr(point, key) for point in points)) for key in ("name", "memory"))
    marks = styles(formats)
    figure = new_figure(WIDTH, 4.9 + 0.32 * len(memories))
    roof, share = figure.subplots(2, 1, height_ratios=(3.3, 0.5 + 0.32 * len(memories)))
    right = 1.45 * max(8 / parse_format(name).bits_per_weight for name in formats)
    _roofs(roof, formats, memories, bus_bits, right)
    for point in points:
        colour = numbered(memories.index(point.memory)).colour
        look = {"marker": marks[point.name].marker, "color": colour, "linestyle": "", "markersize": 6, "zorder": 3,
                "markerfacecolor": colour if point.source == "rtl" else "#ffffff"}
        roof.plot(point.weights_per_byte, point.weights_per_cycle, **look)
        at = memories.index(point.memory) + 0.16 * (formats.index(point.name) - (len(formats) - 1) / 2)
        share.plot(100 * point.limit_fraction, at, **look)
    for name in formats:
        share.plot([], [], label=name, color="#7f7f7f", linestyle="", marker=marks[name].marker)
    if any(point.source != "rtl" for point in points):
        share.plot([], [], label="hollow: cycle model", linestyle="", marker="o", color="#7f7f7f",
                   markerfacecolor="#ffffff")
    most = max(bus_bits / parse_format(name).bits_per_weight for name in formats)
    roof.set(xlim=(0, right), ylim=(0, (1.15 if len(memories) < 5 else 1.6) * most))  # many leave room for their names
    roof.set_xlabel("weights for each byte of traffic", fontsize=9)
    roof.set_ylabel("weights a cycle", fontsize=9)
    roof.set_title(title, fontsize=10)
    roof.legend(fontsize=8, loc="upper left", framealpha=0.9, edgecolor="none", ncols=1 + len(memories) // 5,
                columnspacing=0.8)
    share.axvline(100, color="black", linestyle="--", linewidth=1)
    shares = [100 * point.limit_fraction for point in points]
    share.set_xlim(min(99.0, 1.05 * min(shares) - 5), max(100.2, max(shares) + 0.1))
    share.ticklabel_format(axis="x", useOffset=False)
    vertical(share, memories)
    share.set_xlabel("% of the memory's sequential limit", fontsize=9)
    clean(roof, "both")
    clean(share, "x")
    legend_below(figure, share, min(len(formats) + 1, 5))
    return figure


def sweep_roofline(rows: list[SweepRow]) -> "Figure | None":
    """Draw the largest layer of each format and memory of a sweep; None when there is no layer."""
    greatest: dict[tuple[str, str], SweepRow] = {}
    for row in rows:
        if row.matrix == "layer":
            key = (row.format, row.memory)
            if key not in greatest or row.weights > greatest[key].weights:
                greatest[key] = row
    points = [_Point(row.format, row.memory, 1 / row.bytes_per_weight, row.weights_per_cycle,
                     row.limit_fraction, row.source) for row in greatest.values()]
    models = ", ".join(dict.fromkeys(row.model for row in greatest.values()))
    return _figure(points, rows[0].bus_bits if rows else 0, f"Roofline: a decoder layer of {models}")


def measured_roofline(rows: list[RooflineRow]) -> "Figure | None":
    """Draw engines in steady state, as ``make roofline`` measures them; None without rows."""
    points = [_Point(row.format, row.memory, 8 / parse_format(row.format).bits_per_weight, row.weights_per_cycle,
                     row.achieved_fraction, row.source) for row in rows]
    return _figure(points, rows[0].bus_bits if rows else 0, "Roofline: long matrices in steady state")
