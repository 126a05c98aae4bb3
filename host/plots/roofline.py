"""Rooflines: weights a cycle against bytes of traffic for each weight, under what every memory can deliver."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from golden.spec import parse_format
from host.plots.style import clean, new_figure, numbered, styles
from host.tables.roofline import RooflineRow
from host.tables.sweep import SweepRow
from sim.dram.presets import preset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["measured_roofline", "sweep_roofline"]

_TICKS = (0.125, 0.25, 0.375, 0.5, 0.75, 1, 1.5, 2, 3, 4)


@dataclass(frozen=True)
class _Point:
    """An engine on a memory; ``name`` is its format, ``limit_fraction`` the share of the memory's sequential limit."""

    name: str
    memory: str
    bytes_per_weight: float
    weights_per_cycle: float
    limit_fraction: float
    source: str


def _figure(points: list[_Point], bus_bits: int, title: str) -> "Figure | None":
    """Draw points under the roofs of bus and memories, and beside it their shares; None without points."""
    if not points:
        return None
    from matplotlib.ticker import LogFormatter

    formats, memories = (list(dict.fromkeys(getattr(point, key) for point in points)) for key in ("name", "memory"))
    marks = styles(formats)
    looks = {memory: numbered(i) for i, memory in enumerate(memories)}
    figure = new_figure(11, 4.6)
    roof, share = figure.subplots(1, 2, width_ratios=(1, 1.15))
    traffic = [point.bytes_per_weight for point in points]
    ends = (0.8 * min(traffic), 1.25 * max(traffic))
    roof.plot(ends, [bus_bits / 8 / end for end in ends], color="black", linewidth=1.2, label=f"bus: {bus_bits} bits")
    for memory in memories:
        dram = preset(memory)
        rate = dram.sequential_limit * dram.word_rate(bus_bits) * bus_bits / 8
        roof.plot(ends, [rate / end for end in ends], color=looks[memory].colour, linewidth=0.9,
                  linestyle=("--", ":", "-.")[memories.index(memory) % 3], label=f"{memory}: {rate:.4g} bytes a cycle")
    for point in points:
        colour = looks[point.memory].colour
        face = colour if point.source == "rtl" else "#ffffff"
        roof.plot(point.bytes_per_weight, point.weights_per_cycle, linestyle="", marker=marks[point.name].marker,
                  color=colour, markerfacecolor=face, markersize=6)
        at = memories.index(point.memory) + 0.16 * (formats.index(point.name) - (len(formats) - 1) / 2)
        share.plot(at, 100 * point.limit_fraction, linestyle="", marker=marks[point.name].marker, markersize=6,
                   color=colour, markerfacecolor=face, zorder=3)
    for name in formats:
        filled = {"color": "#7f7f7f", "linestyle": "", "marker": marks[name].marker}
        share.plot([], [], label=name, **filled)
    if any(point.source != "rtl" for point in points):
        share.plot([], [], label="hollow: cycle model", linestyle="", marker="o", color="#7f7f7f",
                   markerfacecolor="#ffffff")
    roof.set(xscale="log", yscale="log", xlabel="bytes of traffic for each weight", ylabel="weights a cycle")
    ticks = [tick for tick in _TICKS if ends[0] <= tick <= ends[1]]
    roof.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    roof.set_xticks([], minor=True)
    roof.yaxis.set_major_formatter(LogFormatter())
    roof.yaxis.set_minor_formatter(LogFormatter())
    share.axhline(100, color="black", linestyle="--", linewidth=1)
    share.set_xticks(range(len(memories)), memories, rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
    share.set_xlim(-0.6, len(memories) - 0.4)
    share.set_ylabel("% of the memory's sequential limit")
    clean(roof, "both")
    clean(share)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.24), "frameon": False, "fontsize": 8}
    roof.legend(ncols=2, **below)
    share.legend(ncols=len(formats) + 1, **below)
    figure.suptitle(title, fontsize=10)
    return figure


def sweep_roofline(rows: list[SweepRow]) -> "Figure | None":
    """Draw the largest layer of each format and memory of a sweep; None when there is no layer."""
    greatest: dict[tuple[str, str], SweepRow] = {}
    for row in rows:
        if row.matrix == "layer":
            key = (row.format, row.memory)
            if key not in greatest or row.weights > greatest[key].weights:
                greatest[key] = row
    points = [_Point(row.format, row.memory, row.bytes_per_weight, row.weights_per_cycle,
                     row.limit_fraction, row.source) for row in greatest.values()]
    models = ", ".join(dict.fromkeys(row.model for row in greatest.values()))
    return _figure(points, rows[0].bus_bits if rows else 0, f"Roofline: a decoder layer of {models}")


def measured_roofline(rows: list[RooflineRow]) -> "Figure | None":
    """Draw engines in steady state, as ``make roofline`` measures them; None without rows."""
    points = []
    for row in rows:
        fmt = parse_format(row.format)
        points.append(_Point(row.format, row.memory, fmt.bits_per_weight / 8,
                             row.weights_per_cycle, row.achieved_fraction, row.source))
    return _figure(points, rows[0].bus_bits if rows else 0, "Roofline: long matrices in steady state")
