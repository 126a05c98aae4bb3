"""Charts of a sweep: speed-up by model, where the cycles went, tokens a second.

Filled marks are from RTL, hollow ones from the cycle model.
"""

from math import nan
from typing import TYPE_CHECKING

from host.measure.published import SPEEDUP
from host.plots.roofline import sweep_roofline
from host.plots.style import WIDTH, bars, byte_limit, clean, legend_below, new_figure, numbered, styles, vertical
from host.printable import printable
from host.tables.causes import CAUSES
from host.tables.row import plus_minus
from host.tables.sweep import SweepRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["charts", "cycles_by_cause", "speedup_by_model", "tokens_by_model"]

_LOOKS = dict(zip(CAUSES, (("#0072b2", ""), ("#e69f00", "//"), ("#009e73", ".."), ("#cc79a7", "xx"),
                           ("#56b4e9", "\\\\")), strict=True))
"""Colour and hatch of each cause."""
_SOURCES = {"rtl": "simulated in RTL", "model": "cycle model"}
_PAPER = {name: f"paper, {name.split('x')[0]}²" for name in SPEEDUP}
_HOLLOW = "#ffffff"


def _layers(rows: list[SweepRow]) -> list[SweepRow]:
    """Return the rows of whole layers, small models first."""
    layers = [row for row in rows if row.matrix == "layer"]
    whole = {row.model: row.weights for row in rows if row.matrix == "model"}
    return sorted(layers, key=lambda row: (row.weights, whole.get(row.model, 0), row.model))


def _unique(rows: list[SweepRow], key: str) -> list[str]:
    """Return the values of a field, each once, in the order of the rows."""
    return list(dict.fromkeys(getattr(row, key) for row in rows))


def _spread(count: int, width: float) -> list[float]:
    """Return offsets of ``count`` marks over ``width``, so that they do not lie over each other."""
    return [width * (i - (count - 1) / 2) / max(count - 1, 1) for i in range(count)]


def _marks(axes: "Axes", points: list[tuple[float, float, str]], colour: str, marker: str) -> None:
    """Draw points (x, y, source): filled when the source is RTL, hollow when it is the cycle model."""
    for source, face in (("rtl", colour), ("model", _HOLLOW)):
        own = [(x, y) for x, y, of in points if of == source]
        if own:
            axes.plot(*zip(*own, strict=True), linestyle="", marker=marker, markersize=6, color=colour,
                      markerfacecolor=face, markeredgewidth=1.2, zorder=3)


def _beside(axes: "Axes", x: float, y: float, text: str) -> None:
    """Write a value to the left of its mark."""
    axes.annotate(text, (x, y), fontsize=7, xytext=(-6, -0.5), textcoords="offset points", ha="right", va="center")


def _source_legend(axes: "Axes", sources: list[str]) -> None:
    """Say in the legend of the figure what filled and hollow marks mean."""
    for source in _SOURCES:
        if source in sources:
            axes.plot([], [], linestyle="", marker="o", color="#7f7f7f", label=_SOURCES[source],
                      markerfacecolor="#7f7f7f" if source == "rtl" else _HOLLOW)


def speedup_by_model(rows: list[SweepRow]) -> "Figure | None":
    """Draw the speed-up over FP16 of whole layers, beside the paper's: a panel for each format, under its bytes' limit.

    Returns None when no layer has a speed-up.
    """
    layers = [row for row in _layers(rows) if row.format != "fp16" and row.speedup is not None]
    speedups = {row: row.speedup for row in layers if row.speedup is not None}
    formats, models, memories = (_unique(layers, key) for key in ("format", "model", "memory"))
    if not layers:
        return None
    lines = {name: [*(_PAPER if name == "seedlm4" else ()), *models] for name in formats}
    figure = new_figure(WIDTH, 1.1 + sum(0.5 + 0.22 * len(names) for names in lines.values()))
    panels = figure.subplots(len(formats), 1, squeeze=False, height_ratios=list(map(len, lines.values())))[:, 0]
    for axes, name in zip(panels, formats, strict=True):
        at, limit = {line: i for i, line in enumerate(lines[name])}, byte_limit(name)
        axes.axvline(limit, color="black", linestyle="--", linewidth=1, label="limit by bytes")
        for i, (memory, shift) in enumerate(zip(memories, _spread(len(memories), 0.55), strict=True)):
            own = [row for row in layers if row.format == name and row.memory == memory]
            look = numbered(i)
            _marks(axes, [(speedups[row], at[row.model] + shift, row.source) for row in own], look.colour,
                   look.marker)
            axes.plot([], [], linestyle="", marker=look.marker, color=look.colour, label=memory)
            for row in own if len(memories) == 1 else ():
                _beside(axes, speedups[row], at[row.model], f"{row.speedup:.4f}")
        if name == "seedlm4":
            axes.plot(list(SPEEDUP.values()), [at[size] for size in SPEEDUP], linestyle="", marker="*", markersize=9,
                      color="#d55e00", zorder=3)
            for size, value in SPEEDUP.items():
                _beside(axes, value, at[size], f"{value:.2f}")
            axes.axhline(len(SPEEDUP) - 0.5, color="#7f7f7f", linewidth=0.6)
        values = [speedups[row] for row in layers if row.format == name]
        values += list(SPEEDUP.values()) if name == "seedlm4" else []
        room = max(limit - min(values), 0.01 * limit)
        axes.set_xlim(min(values) - 0.35 * room, max(limit, *values) + 0.1 * room)
        axes.set_title(f"{name}: at most {limit:.4g}", fontsize=9, loc="left")
        vertical(axes, [_PAPER.get(model) or printable(model) for model in at])
        clean(axes, "x")
    panels[-1].set_xlabel("speed-up over FP16")
    if "seedlm4" in formats:
        panels[0].plot([], [], linestyle="", marker="*", markersize=9, color="#d55e00",
                       label="published, single matrices")
    _source_legend(panels[0], _unique(layers, "source"))
    legend_below(figure, panels[0], 2)
    figure.suptitle("One decoder layer, streamed as a chain; small models first", fontsize=10)
    return figure


def cycles_by_cause(rows: list[SweepRow]) -> "Figure | None":
    """Draw where the cycles of whole layers went, for rows of one memory; None when there is no layer.

    Above all cycles stand beside FP16's; below are those in which no beat came, enlarged.
    """
    layers = _layers(rows)
    formats, models = (_unique(layers, key) for key in ("format", "model"))
    if not layers:
        return None
    by_key = {(row.model, row.format): row for row in layers}
    base = {model: by_key.get((model, "fp16"), max((row for row in layers if row.model == model),
                                                   key=lambda row: row.cycles)).cycles for model in models}
    lines = [(model, name) for model in models for name in formats if (model, name) in by_key]
    at = [i + 0.7 * models.index(model) for i, (model, _) in enumerate(lines)]
    figure = new_figure(WIDTH, 1.6 + 2 * (0.4 + 0.16 * at[-1]))
    whole, rest = figure.subplots(2, 1)
    for axes, causes, relative in ((whole, CAUSES, True), (rest, CAUSES[1:], False)):
        left = [0.0] * len(lines)
        for cause in causes:
            shares = [100 * getattr(by_key[line], cause.name) / (base[line[0]] if relative else by_key[line].cycles)
                      for line in lines]
            colour, hatch = _LOOKS[cause]
            axes.barh(at, shares, 0.8, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.3,
                      label=cause.label)
            left = [sum(pair) for pair in zip(left, shares, strict=True)]
        axes.set_xlim(0, max(left) * (1.25 if relative else 1.14))
        clean(axes, "x")
        for y, end, line in zip(at, left, lines, strict=True):
            text = f" {by_key[line].cycles:,}" if relative else f" {end:.2f} %"
            axes.text(end, y, text, va="center", fontsize=7)
        axes.set_yticks(at, [f"{printable(model)}  {name}"
                             + ("" if by_key[model, name].source == "rtl"
                                else f" (cycle model{plus_minus(by_key[model, name].model_tolerance)})")
                             for model, name in lines], fontsize=7)
        axes.set_ylim(at[-1] + 0.8, -0.8)
        axes.tick_params(axis="y", length=0)
    whole.set_xlabel("cycles, % of FP16's", fontsize=9)
    rest.set_xlabel("cycles without a beat, % of the design's own", fontsize=9)
    legend_below(figure, whole, 2)
    figure.suptitle(f"Cycles by cause, one decoder layer; {layers[0].memory}", fontsize=10)
    return figure


def tokens_by_model(rows: list[SweepRow]) -> "Figure | None":
    """Draw tokens a second of whole models: a panel for each memory, a series for each format; None without any."""
    ordered = _unique(_layers(rows), "model")
    totals = [row for row in rows if row.matrix == "model" and row.tokens_per_s is not None]
    formats, memories = (_unique(totals, key) for key in ("format", "memory"))
    if not totals:
        return None
    models = sorted(_unique(totals, "model"), key=lambda name: ordered.index(name) if name in ordered else len(ordered))
    look = styles(formats)
    figure = new_figure(WIDTH, 1.5 + len(memories) * (0.5 + 0.17 * len(models) * (len(formats) + 0.7)))
    panels = figure.subplots(len(memories), 1, squeeze=False, sharex=True)[:, 0]
    for axes, memory in zip(panels, memories, strict=True):
        by_key = {(row.model, row.format): row for row in totals if row.memory == memory}
        for i, name in enumerate(formats):
            own = [by_key.get((model, name)) for model in models]
            bars(axes, i, len(formats), [row.tokens_per_s or nan if row else nan for row in own], look[name], name,
                 "#.3g", [row is not None and row.source != "rtl" for row in own])
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.margins(x=0.12)
        axes.set_title(memory, fontsize=10, loc="left")
        clean(axes, "x")
        axes.grid(which="minor", visible=False)
        vertical(axes, list(map(printable, models)))
    panels[-1].set_xlabel("tokens a second")
    legend_below(figure, panels[0], len(formats))
    figure.suptitle("Tokens a second, one sequence: all layers, lm_head and KV cache as bytes.\n"
                    "Hollow bars: cycle model. Assumed: an engine at the clock of the memory's controller.", fontsize=8)
    return figure


def charts(rows: list[SweepRow]) -> dict[str, "Figure | None"]:
    """Draw a sweep: charts by the name of their file, None where there are no rows for one.

    Parameters
    ----------
    rows : list of SweepRow
        Rows of one bus width; layers are called ``layer`` and whole models ``model``.
    """
    return {"speedup": speedup_by_model(rows), "roofline": sweep_roofline(rows),
            **{f"cycles-{memory}": cycles_by_cause([row for row in rows if row.memory == memory])
               for memory in _unique(rows, "memory")},
            "tokens": tokens_by_model(rows)}
