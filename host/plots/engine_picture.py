"""The picture of the engine in the documentation: every stage, and what flows between them, as SVG.

Boxes and streams are listed here, and a test compares them with the design: a stage or a stream that is missing, or
that there is no longer, fails it.
"""

from dataclasses import dataclass
from html import escape

__all__ = ["BOXES", "FLOWS", "Box", "Flow", "engine_picture"]

_WIDTH, _HEIGHT = 900, 528
_W, _H = 96, 44
"""Size of a box."""
_X = (14, 138, 270, 392, 514, 636, 758)
"""Left edges of the columns."""
_Y = (44, 164, 256, 350, 448)
"""Upper edges of the rows: control, activations, weights, lanes, results."""


@dataclass(frozen=True)
class Box:
    """A stage, or what is outside of the engine.

    Parameters
    ----------
    path : str
        Names of the submodules that lead to it in the design, joined by slashes; empty outside of the engine.
    name, says : str
        Its name, and in a few words what it does.
    column, row : int
        Where it stands.
    source : str
        Its file.
    """

    path: str
    name: str
    says: str
    column: int
    row: int
    source: str = ""


@dataclass(frozen=True)
class Flow:
    """What flows between two boxes.

    Parameters
    ----------
    start, end : str
        Paths of the boxes, or their names outside of the engine.
    stream : bool
        It is a stream with a handshake, and not plain signals.
    label : str
        What flows, where it is not plain.
    points : tuple of (float, float)
        The line; by default from box to box, straight.
    at : (float, float)
        Where the label stands.
    control : bool
        It says what is to be done, once for each matrix.
    """

    start: str
    end: str
    stream: bool = True
    label: str = ""
    points: tuple[tuple[float, float], ...] = ()
    at: tuple[float, float] = (0, 0)
    control: bool = False


BOXES = (
    Box("", "host", "software", 0, 0),
    Box("registers", "registers", "map, interrupt", 1, 0, "hw/registers/registers.py"),
    Box("checker", "checker", "sizes, addresses", 2, 0, "hw/engine/checker.py"),
    Box("sequencer", "sequencer", "a run's steps", 3, 0, "hw/engine/sequencer.py"),
    Box("jobs", "jobs", "queue", 4, 0, "hw/parts/stream_queue.py"),
    Box("bases", "bases", "queue", 5, 0, "hw/parts/stream_queue.py"),
    Box("supervisor", "supervisor", "errors, abort", 6, 0, "hw/engine/supervisor.py"),
    Box("", "memory", "DRAM", 0, 2),
    Box("read_dma", "read DMA", "bursts", 1, 1, "hw/dma/read.py"),
    Box("activations/buffer", "buffer", "vector, exponent", 2, 1, "hw/activations/buffer.py"),
    Box("activations/gate", "gate", "credits", 3, 1, "hw/parts/credit_gate.py"),
    Box("activations/store", "store", "a block's x", 4, 1, "hw/activations/store.py"),
    Box("activations/align", "align", "FP16 to integers", 5, 1, "hw/activations/align.py"),
    Box("activations/queue", "queue", "never full", 6, 1, "hw/parts/stream_queue.py"),
    Box("descriptor", "descriptor", "next of a chain", 1, 2, "hw/dma/descriptor.py"),
    Box("counters", "counters", "cycles by cause", 1, 3, "hw/engine/counters.py"),
    Box("unpacker", "unpacker", "beats to blocks", 2, 2, "hw/dma/unpacker.py"),
    Box("join", "join", "blocks meet x", 6, 2, "hw/lanes/join.py"),
    Box("lane/lfsr_bank", "LFSR bank", "all states at once", 6, 3, "hw/lanes/lfsr_bank.py"),
    Box("lane/numerators", "numerators", "windows × q", 5, 3, "hw/lanes/numerators.py"),
    Box("lane/mac", "MAC array", "× activations", 4, 3, "hw/lanes/mac.py"),
    Box("lane/accumulator", "accumulator", "exact", 3, 3, "hw/lanes/accumulator.py"),
    Box("results/drain", "drain", "one sum a cycle", 6, 4, "hw/rounding/drain.py"),
    Box("results/gate", "gate", "credits", 5, 4, "hw/parts/credit_gate.py"),
    Box("results/normalise", "normalise", "to float32", 4, 4, "hw/rounding/normalise.py"),
    Box("results/scale", "scale", "one factor", 3, 4, "hw/rounding/scale.py"),
    Box("results/queue", "queue", "never full", 2, 4, "hw/parts/stream_queue.py"),
    Box("write_dma", "write DMA", "bursts", 1, 4, "hw/dma/write.py"),
)
_GROUPS = (("activations", 2, 6, 1, ""), ("lane", 3, 6, 3, "as many as the bus feeds, one row of the matrix each"),
           ("results", 2, 6, 4, ""))
"""Components around stages: name, first and last column, row, and what the picture says of it."""


def _middle(column: int) -> float:
    return _X[column] + _W / 2


_ABOVE = _Y[1] - 32
"""Height of the lines between control and datapath; the next ones lie a few pixels above."""
_RIGHT, _LEFT, _BELOW = _X[6] + _W + 24, _X[2] - 22, _Y[4] + _H + 16

FLOWS = (
    Flow("host", "registers", False, "AXI4-Lite", at=(_X[1] - 14, _Y[0] - 8)),
    Flow("registers", "checker", False), Flow("checker", "sequencer", False),
    Flow("sequencer", "jobs", control=True),
    Flow("sequencer", "bases", True, "", ((_middle(3) + 20, _Y[0]), (_middle(3) + 20, _Y[0] - 18),
                                          (_middle(5), _Y[0] - 18), (_middle(5), _Y[0])), control=True),
    Flow("sequencer", "read_dma", True, "regions to read",
         ((_middle(3), _Y[0] + _H), (_middle(3), _ABOVE - 8), (_middle(1), _ABOVE - 8), (_middle(1), _Y[1])),
         (_middle(2) - 44, _ABOVE - 12), True),
    Flow("read_dma", "descriptor", control=True),
    Flow("descriptor", "registers", False, "sizes of the next matrix",
         ((_X[1], _Y[2] + 12), (_X[1] - 12, _Y[2] + 12), (_X[1] - 12, _ABOVE - 8), (_X[1] + 14, _ABOVE - 8),
          (_X[1] + 14, _Y[0] + _H)), (_X[0], _ABOVE - 14), True),
    Flow("jobs", "activations/buffer", True, "matrices to multiply",
         ((_middle(4), _Y[0] + _H), (_middle(4), _ABOVE + 8), (_middle(2), _ABOVE + 8), (_middle(2), _Y[1])),
         (_middle(3) + 12, _ABOVE + 4), True),
    Flow("bases", "write_dma", True, "addresses of results",
         ((_middle(5), _Y[0] + _H), (_middle(5), _ABOVE), (_RIGHT, _ABOVE), (_RIGHT, _BELOW),
          (_middle(1), _BELOW), (_middle(1), _Y[4] + _H)), (_middle(5) - 40, _BELOW + 12), True),
    Flow("activations/buffer", "results/drain", True, "rows of each matrix",
         ((_X[2] + 10, _Y[1] + _H), (_X[2] + 10, _Y[1] + _H + 22), (_LEFT + 4, _Y[1] + _H + 22),
          (_LEFT + 4, _Y[3] + _H + 20), (_middle(6) - 30, _Y[3] + _H + 20), (_middle(6) - 30, _Y[4])),
         (_middle(2) - 60, _Y[3] + _H + 16), True),
    Flow("memory", "read_dma", True, "AXI4", ((_X[0] + _W / 2, _Y[2]), (_X[0] + _W / 2, _Y[1] + _H / 2),
                                              (_X[1], _Y[1] + _H / 2)), (_X[0] + _W / 2 + 8, _Y[1] + _H / 2 - 6)),
    Flow("read_dma", "activations/buffer", True),
    Flow("read_dma", "unpacker", True, "weights", ((_X[1] + _W, _Y[1] + _H - 10), (_LEFT - 6, _Y[1] + _H - 10),
                                                   (_LEFT - 6, _Y[2] + _H / 2), (_X[2], _Y[2] + _H / 2)),
         (_X[2] + 6, _Y[2] - 6)),
    Flow("activations/buffer", "activations/gate"), Flow("activations/gate", "activations/store"),
    Flow("activations/store", "activations/align"), Flow("activations/align", "activations/queue", False),
    Flow("activations/queue", "join"),
    Flow("unpacker", "join", True, "one block for each lane", at=(_middle(4) - 40, _Y[2] + _H / 2 - 6)),
    Flow("join", "lane/lfsr_bank"),
    Flow("lane/lfsr_bank", "lane/numerators", False), Flow("lane/numerators", "lane/mac", False),
    Flow("lane/mac", "lane/accumulator", False, "2ᵉ", at=(_X[4] - 18, _Y[3] + _H / 2 - 6)),
    Flow("lane/accumulator", "results/drain", False, "sums of all lanes",
         ((_middle(3), _Y[3] + _H), (_middle(3), _Y[3] + _H + 32), (_middle(6), _Y[3] + _H + 32),
          (_middle(6), _Y[4])), (_middle(4) + 10, _Y[3] + _H + 30)),
    Flow("results/drain", "results/gate"), Flow("results/gate", "results/normalise"),
    Flow("results/normalise", "results/scale"), Flow("results/scale", "results/queue", False),
    Flow("results/queue", "write_dma"),
    Flow("write_dma", "memory", True, "AXI4", ((_X[1], _Y[4] + _H / 2), (_X[0] + _W / 2, _Y[4] + _H / 2),
                                               (_X[0] + _W / 2, _Y[2] + _H)),
         (_X[0] + _W / 2 + 8, _Y[4] + _H / 2 - 6)),
)
_STYLE = """
  svg { --page: #ffffff; --ink: #1c2128; --soft: #57606a; --box: #ffffff; --group: #eef2f7; --edge: #8b98a5;
    --flow: #0b5cad; color-scheme: light dark; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #101418; --ink: #e3e7ec; --soft: #9aa5b1; --box: #222a33; --group: #161c23; --edge: #5c6873;
      --flow: #7cb8f5; }
  }
  text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); text-anchor: middle; }
  .page { fill: var(--page); }
  .says, .label, .group { font-size: 9.5px; fill: var(--soft); }
  .label, .group { text-anchor: start; }
  .box { fill: var(--box); stroke: var(--edge); } .outside { stroke-dasharray: 4 3; }
  .room { fill: var(--group); stroke: none; }
  .flow { fill: none; stroke: var(--flow); stroke-width: 2; marker-end: url(#arrow); }
  .plain { stroke-width: 1.2; } .control { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 5 3;
    marker-end: url(#small); }
"""


def _straight(start: Box, end: Box) -> tuple[tuple[float, float], ...]:
    """Return the line between two boxes of one row or of one column."""
    if start.row == end.row:
        y, right = _Y[start.row] + _H / 2, end.column > start.column
        return ((_X[start.column] + _W * right, y), (_X[end.column] + _W * (not right), y))
    down = end.row > start.row
    return ((_middle(start.column), _Y[start.row] + _H * down), (_middle(end.column), _Y[end.row] + _H * (not down)))


def _flow(flow: Flow, boxes: dict[str, Box]) -> str:
    kind = "flow control" if flow.control else "flow" if flow.stream else "flow plain"
    points = flow.points or _straight(boxes[flow.start], boxes[flow.end])
    line = f'<path class="{kind}" d="M{" L".join(f"{x:g} {y:g}" for x, y in points)}"/>'
    label = f'<text class="label" x="{flow.at[0]:g}" y="{flow.at[1]:g}">{escape(flow.label)}</text>'
    return line + (label if flow.label else "")


def _box(box: Box) -> str:
    x, y, middle = _X[box.column], _Y[box.row], _middle(box.column)
    text = (f'<rect class="{"box" if box.path else "box outside"}" x="{x}" y="{y}" width="{_W}" height="{_H}" rx="5"/>'
            f'<text x="{middle:g}" y="{y + 19}">{escape(box.name)}</text>'
            f'<text class="says" x="{middle:g}" y="{y + 34}">{escape(box.says)}</text>')
    return f'<a href="../{box.source}">{text}</a>' if box.source else text


def _group(name: str, first: int, last: int, row: int, says: str) -> str:
    x, y = _X[first] - 8, _Y[row] - 8
    room = f'<rect class="room" x="{x}" y="{y}" width="{_X[last] + _W + 8 - x}" height="{_H + 16}" rx="8"/>'
    return room + (f'<text class="group" x="{x + 10}" y="{y - 4}">{name}: {says}</text>' if says else "")


def engine_picture() -> str:
    """Return the picture as SVG, in the colours of the reader's light or dark scheme."""
    boxes = {box.path or box.name: box for box in BOXES}
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
             'aria-labelledby="title">',
             '<title id="title">The engine: from memory through activations, lanes and rounding back to memory</title>',
             f"<style>{_STYLE}</style>", "<defs>"]
    for name, colour in (("arrow", "flow"), ("small", "soft")):
        lines.append(f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
                     'markerUnits="userSpaceOnUse" orient="auto">'
                     f'<path d="M0 0 L8 4 L0 8 Z" style="fill: var(--{colour})"/></marker>')
    lines += ["</defs>", f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>',
              *(_group(*group) for group in _GROUPS), *(_flow(flow, boxes) for flow in FLOWS), *map(_box, BOXES),
              "</svg>"]
    return "\n".join(lines) + "\n"
