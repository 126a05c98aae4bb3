"""Charts of a sweep: speed-up by model, where the cycles went, tokens a second.

Filled marks are from RTL, hollow ones from the cycle model.
"""

from typing import TYPE_CHECKING

from host.measure.published import SPEEDUP
from host.plots.roofline import sweep_roofline
from host.plots.style import byte_limit, clean, new_figure, numbered, styles
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
_PAPER = {name: f"paper\n{name.split('x')[0]}²" for name in SPEEDUP}
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


def _source_legend(axes: "Axes", sources: list[str]) -> None:
    """Say in the legend of the figure what filled and hollow marks mean."""
    for source in _SOURCES:
        if source in sources:
            axes.plot([], [], linestyle="", marker="o", color="#7f7f7f", label=_SOURCES[source],
                      markerfacecolor="#7f7f7f" if source == "rtl" else _HOLLOW)


def _legend_below(figure: "Figure", axes: "Axes", columns: int) -> None:
    """Draw the legend of one panel below the whole figure."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False,
                  fontsize=8)


def speedup_by_model(rows: list[SweepRow]) -> "Figure | None":
    """Draw the speed-up over FP16 of whole layers, beside the paper's: a panel for each format, under its bytes' limit.

    Returns None when no layer has a speed-up.
    """
    layers = [row for row in _layers(rows) if row.format != "fp16" and row.speedup is not None]
    speedups = {row: row.speedup for row in layers if row.speedup is not None}
    formats, models, memories = (_unique(layers, key) for key in ("format", "model", "memory"))
    if not layers:
        return None
    paper = list(_PAPER) if "seedlm4" in formats else []
    at = {name: i for i, name in enumerate([*paper, *models])}
    figure = new_figure(max(7, 1.5 + 0.8 * len(at)), 0.9 + 2.3 * len(formats))
    panels = figure.subplots(len(formats), 1, squeeze=False, sharex=True)[:, 0]
    for axes, name in zip(panels, formats, strict=True):
        limit = byte_limit(name)
        axes.axhline(limit, color="black", linestyle="--", linewidth=1, label="limit by bytes")
        axes.text(1.005, limit, f"{limit:.4g}", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        for i, (memory, shift) in enumerate(zip(memories, _spread(len(memories), 0.55), strict=True)):
            own = [row for row in layers if row.format == name and row.memory == memory]
            look = numbered(i)
            _marks(axes, [(at[row.model] + shift, speedups[row], row.source) for row in own], look.colour,
                   look.marker)
            axes.plot([], [], linestyle="", marker=look.marker, color=look.colour, label=memory)
            if len(memories) == 1:
                for row in own:
                    axes.annotate(f"{row.speedup:.4f}", (at[row.model], speedups[row]), fontsize=7,
                                  xytext=(0, -7), textcoords="offset points", ha="center", va="top")
        if name == "seedlm4":
            axes.plot([at[size] for size in paper], list(SPEEDUP.values()), linestyle="", marker="*", markersize=10,
                      color="#d55e00", zorder=3)
            for size, value in SPEEDUP.items():
                axes.annotate(f"{value:.2f}", (at[size], value), fontsize=7, xytext=(0, -8),
                              textcoords="offset points", ha="center", va="top")
        if paper:
            axes.axvline(len(paper) - 0.5, color="#7f7f7f", linewidth=0.6)
        values = [speedups[row] for row in layers if row.format == name]
        values += list(SPEEDUP.values()) if name == "seedlm4" else []
        room = max(limit - min(values), 0.01 * limit)
        axes.set_ylim(min(values) - 0.35 * room, max(limit, *values) + 0.15 * room)
        axes.set_ylabel("speed-up over FP16")
        axes.set_title(name, fontsize=10, loc="left")
        clean(axes)
    panels[-1].set_xticks(list(at.values()), [_PAPER.get(name) or printable(name) for name in at], rotation=35,
                          ha="right", rotation_mode="anchor", fontsize=8)
    panels[-1].set_xlim(-0.6, len(at) - 0.4)
    if paper:
        panels[0].plot([], [], linestyle="", marker="*", markersize=10, color="#d55e00",
                       label="published, single matrices")
    _source_legend(panels[0], _unique(layers, "source"))
    _legend_below(figure, panels[0], 5)
    figure.suptitle("One decoder layer, streamed as a chain; small models first", fontsize=10)
    return figure


def cycles_by_cause(rows: list[SweepRow]) -> "Figure | None":
    """Draw where the cycles of whole layers went, for rows of one memory; None when there is no layer.

    On the left all cycles stand beside FP16's; on the right are those in which no beat came, enlarged.
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
    figure = new_figure(10, 1.3 + 0.19 * at[-1])
    whole, rest = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.3))
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
            axes.text(end, y, text, va="center", fontsize=6)
    whole.set_yticks(at, [f"{printable(model)}  {name}"
                          + ("" if by_key[model, name].source == "rtl"
                             else f" (cycle model{plus_minus(by_key[model, name].model_tolerance)})")
                          for model, name in lines], fontsize=7)
    whole.set_ylim(at[-1] + 0.8, -0.8)
    whole.set_xlabel("cycles, % of FP16's", fontsize=9)
    rest.set_xlabel("cycles without a beat, % of the design's own", fontsize=9)
    _legend_below(figure, whole, 5)
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
    columns = min(len(memories), 2)
    lines = -(-len(memories) // columns)
    figure = new_figure(max(6, 1 + 0.55 * len(models)) * (1 if columns == 1 else 1.8), 1.2 + 2.9 * lines)
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(memories):]:
        axes.set_visible(False)
    for axes, memory in zip(panels.flat, memories, strict=False):
        for name, shift in zip(formats, _spread(len(formats), 0.3), strict=True):
            points = sorted((models.index(row.model) + shift, row.tokens_per_s or 0.0, row.source) for row in totals
                            if row.memory == memory and row.format == name)
            axes.plot([x for x, _, _ in points], [y for _, y, _ in points], linewidth=0.8, color=look[name].colour)
            _marks(axes, points, look[name].colour, look[name].marker)
            axes.plot([], [], linestyle="-", marker=look[name].marker, color=look[name].colour, label=name)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_title(memory, fontsize=10, loc="left")
        clean(axes)
        axes.set_xticks(range(len(models)), list(map(printable, models)), rotation=35, ha="right",
                        rotation_mode="anchor", fontsize=8)
        axes.tick_params(labelbottom=True)
    for line in panels[:, 0]:
        line.set_ylabel("tokens a second")
    _source_legend(panels[0, 0], _unique(totals, "source"))
    _legend_below(figure, panels[0, 0], len(formats) + 2)
    figure.suptitle("Tokens a second, one sequence: all layers, lm_head and KV cache as bytes.\n"
                    "The engine is assumed to keep up with the clock of the memory's controller.", fontsize=10)
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
