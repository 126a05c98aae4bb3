"""The area of engines as a map: each engine a square, each block a part of it, all on one scale."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from host.plots.style import COLOURS, FONT, HATCHES, WIDTH, new_figure
from host.printable import printable
from host.tables.area import AreaRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["area_treemap", "split"]

_LEAST = (0.19, 0.13)
"""Width and height of the smallest part that is labelled, where the side of the largest engine is 1."""
_GAP, _TITLE = 0.06, 0.12
"""Space between two engines, and that of an engine's title, on the same scale."""
_COMPARED = ("fp16", "int4", "seedlm4", "seedlm3")
"""Formats of which one engine is drawn."""

Box = tuple[float, float, float, float]
"""Left, bottom, width, height."""


def split(sizes: Sequence[float], box: Box) -> Iterator[Box]:
    """Yield a part of a box for each size, in order, with an area in proportion to it.

    The sizes are divided into two halves that are about equal, and so is the box, across its longer side.
    """
    if len(sizes) == 1:
        yield box
        return
    left, bottom, width, height = box
    total = sum(sizes)
    at = min(range(1, len(sizes)), key=lambda n: abs(sum(sizes[:n]) - total / 2))
    share = sum(sizes[:at]) / total
    if width >= height:
        yield from split(sizes[:at], (left, bottom, width * share, height))
        yield from split(sizes[at:], (left + width * share, bottom, width * (1 - share), height))
    else:  # the first ones above the others
        yield from split(sizes[:at], (left, bottom + height * (1 - share), width, height * share))
        yield from split(sizes[at:], (left, bottom, width, height * (1 - share)))


def _drawn(rows: Sequence[AreaRow]) -> list[list[AreaRow]]:
    """Blocks of the engines that are drawn: of each format the first engine that decodes without DSPs, so that all of
    its logic is seen, or else the first."""
    engines: dict[str, list[AreaRow]] = {}
    for row in rows:
        if not row.block.startswith("total"):
            engines.setdefault(row.engine, []).append(row)
    found = []
    for name in _COMPARED:
        own = [blocks for engine, blocks in engines.items() if engine.split("-")[0] == name]
        own.sort(key=lambda blocks: any(row.block == "decode" and row.dsp for row in blocks))
        found += own[:1]
    return found


def _shelves(sides: Sequence[float]) -> list[tuple[float, float]]:
    """Return left and top of squares of falling sides, from the top down: two on each shelf, the smallest beside the
    largest."""
    places, top = dict[int, tuple[float, float]](), 0.0
    for first in range((len(sides) + 1) // 2):
        last = len(sides) - 1 - first
        places[first] = (0.0, top - _TITLE)
        if last != first:
            places[last] = (sides[first] + _GAP, top - _TITLE)
        top -= sides[first] + _TITLE + _GAP
    return [places[n] for n in range(len(sides))]


def _draw(axes: "Axes", blocks: Sequence[AreaRow], box: Box, looks: dict[str, tuple[str, str]]) -> None:
    """Draw an engine in its square."""
    from matplotlib.patches import Rectangle

    ordered = sorted((row for row in blocks if row.lut), key=lambda row: -row.lut)
    for row, (left, bottom, width, height) in zip(ordered, split([row.lut for row in ordered], box), strict=True):
        colour, hatch = looks[row.block]
        axes.add_patch(Rectangle((left, bottom), width, height, facecolor=colour, hatch=hatch, edgecolor="white",
                                 linewidth=1.5, gid=row.block))
        if width >= _LEAST[0] and height >= _LEAST[1]:
            axes.text(left + width / 2, bottom + height / 2, f"{printable(row.block)}\n{row.lut:,}", ha="center",
                      va="center", fontsize=FONT, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.text(box[0], box[1] + box[3] + 0.02, f"{printable(blocks[0].engine)}: {sum(row.lut for row in blocks):,} LUTs",
              fontsize=FONT + 1)


def area_treemap(rows: Sequence[AreaRow]) -> "Figure | None":
    """Draw the LUTs of one engine of each format, block by block; None when no engine has blocks.

    Areas are in proportion to LUTs, in all squares alike. Blocks are synthesised apart, so that their sum, which the
    titles say, differs from the whole engine's.
    """
    from matplotlib.patches import Patch

    engines = sorted(_drawn(rows), key=lambda blocks: -sum(row.lut for row in blocks))
    if not engines:
        return None
    kinds = dict.fromkeys(row.block for blocks in engines for row in blocks if row.lut)
    # After a round of colours a hatch more is skipped, so that no two blocks have both in common.
    looks = {name: (COLOURS[i % len(COLOURS)], HATCHES[(i + i // len(COLOURS)) % len(HATCHES)])
             for i, name in enumerate(kinds)}
    areas = [sum(row.lut for row in blocks) for blocks in engines]
    sides = [(area / areas[0]) ** 0.5 for area in areas]
    places = _shelves(sides)
    right = max(left + side for (left, _), side in zip(places, sides, strict=True))
    below = min(top - side for (_, top), side in zip(places, sides, strict=True))
    figure = new_figure(WIDTH, WIDTH * -below / right + 0.7)
    axes = figure.subplots()
    for blocks, (left, top), side in zip(engines, places, sides, strict=True):
        _draw(axes, blocks, (left, top - side, side, side), looks)
    axes.set(xlim=(0, right), ylim=(below, 0), aspect="equal")
    axes.axis("off")
    figure.legend(handles=[Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=printable(name))
                           for name, (colour, hatch) in looks.items()],
                  loc="outside lower center", ncols=4, frameon=False, fontsize=FONT)
    return figure
