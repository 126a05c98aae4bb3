"""What all charts share: how series are told apart, in print and by colour-blind readers; how charts are saved."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from golden.spec import parse_format
from host.plots.scheme import with_scheme
from host.printable import printable_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "HATCHES", "LINES", "MARKERS", "WIDTH", "Style", "bars", "byte_limit", "clean", "legend_below",
           "new_figure", "numbered", "save", "styles", "vertical"]

WIDTH = 5.8
"""Inches. Text of 8 points is 7 pixels high where a phone shows such a chart on the 390 pixels of its screen."""
FONT = 8
"""Points of the smallest text."""

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Colours of Okabe and Ito, Color Universal Design (2008), distinct in every kind of colour vision."""
MARKERS = ("o", "s", "^", "D", "v", "X", "P", "<", ">")
HATCHES = ("", "//", "..", "xx", "--", "\\\\")
LINES = ("-", "--", ":", "-.", (0, (1, 3)), (0, (5, 3)))
_GREY = "#7f7f7f"
_DPI = 150


@dataclass(frozen=True)
class Style:
    """How a series looks. No two series differ in colour alone."""

    colour: str
    marker: str
    hatch: str


_OWN = {"fp16": Style(_GREY, "o", ""), "int4": Style("#e69f00", "s", "//"), "seedlm4": Style("#0072b2", "^", ".."),
        "seedlm3": Style("#009e73", "D", "xx"), "int8": Style("#c0a060", "<", "oo"),
        "int3": Style("#f0e442", ">", "++")}
_FREE = (Style("#cc79a7", "v", "--"), Style("#56b4e9", "P", "\\\\"), Style("#d55e00", "X", "||"))


def styles(formats: list[str]) -> dict[str, Style]:
    """Return the looks of formats. Those with a name look the same in every chart; others take what is free."""
    others = [name for name in formats if name not in _OWN]
    return {name: _OWN[name] if name in _OWN else _FREE[others.index(name) % len(_FREE)] for name in formats}


def numbered(index: int) -> Style:
    """Return the look of the series of a number, for series such as memories that have no look of their own."""
    return Style(COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], HATCHES[index % len(HATCHES)])


def byte_limit(name: str) -> float:
    """Return the speed-up over FP16 that a format has where only bytes count, such as 4 for 4 bits."""
    fmt = parse_format(name)
    return 16 / fmt.bits_per_weight


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure  # takes half a second, and most commands draw nothing

    rcParams["text.parse_math"] = False  # a dollar sign in the name of a model or a tensor is no formula
    return Figure(figsize=(width, height), layout="constrained")


def clean(axes: "Axes", grid: str = "y") -> None:
    """Draw thin grid lines behind everything and no frame; ``grid`` is "x", "y" or "both"."""
    axes.grid(axis=grid, which="both", linewidth=0.3)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def bars(axes: "Axes", index: int, count: int, values: "list[float]", look: Style, label: str, spec: str,
         hollow: "list[bool] | None" = None) -> None:
    """Draw one of ``count`` series of horizontal bars, with its values at their ends; a bar that is nan is left out.

    Parameters
    ----------
    spec : str
        Format specification of the values.
    hollow : list of bool, optional
        Whether a bar is drawn without its colour, as for what is modelled and not measured.
    """
    height = 0.84 / count
    at = [i + (index - (count - 1) / 2) * height for i in range(len(values))]
    drawn = axes.barh(at, values, height * 0.92, color=look.colour, hatch=look.hatch, edgecolor="white", linewidth=0,
                      label=label)
    for bar, value, empty in zip(drawn, values, hollow or [False] * len(values), strict=True):
        if empty:
            bar.set(facecolor="white", edgecolor=look.colour, linewidth=1)
        if value == value:
            axes.annotate(format(value, spec), (value, bar.get_y() + bar.get_height() / 2), xytext=(3, -0.5),
                          textcoords="offset points", va="center", fontsize=FONT - 1,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})


def vertical(axes: "Axes", names: "list[str]") -> None:
    """Write names at the vertical axis, the first at the top."""
    axes.set_yticks(range(len(names)), names, fontsize=FONT)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def legend_below(figure: "Figure", axes: "Axes", columns: int) -> None:
    """Draw the legend of one panel below the whole figure."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False,
                  fontsize=FONT)


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Save a figure as SVG, for light and dark schemes, and as PNG, and return both paths. The same figure gives the
    same bytes.

    Names from outside in its texts are made printable. Labels of ticks are not reached here: charts see to them.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(printable_lines(text.get_text()))
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(paths[0], metadata={"Date": None})
        paths[0].write_text(with_scheme(paths[0].read_text()))
        figure.savefig(paths[1], dpi=_DPI)
    return paths
