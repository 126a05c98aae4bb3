"""What a viewer shows of a waveform at first: the streams between the stages of the engine, grouped by stage."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.waves.hierarchy import Instance, Port

__all__ = ["Group", "groups", "gtkwave", "surfer"]

_ORDER = ("registers", "checker_", "sequencer", "supervisor", "counters", "descriptor", "read_dma", "unpacker", "bases",
          "activations", "join_", "jobs", "lane0", "results", "write_dma")
"""Stages of the engine as data pass through them; all that are not named follow."""
_WINDOW = ("[size] 1280 800", "[sst_width] 200", "[signals_width] 330")
"""Sizes of GTKWave's window and of its columns, in pixels."""
_PIXELS = 600
"""Width that they leave for waveforms."""
_HANDSHAKE = ("valid", "ready", "payload")


@dataclass(frozen=True)
class Group:
    """Signals that are shown together.

    Parameters
    ----------
    name : str
    open : bool
        Whether they are shown without a click.
    signals : tuple of (str, int)
        Whole names, with the widths in bits.
    """

    name: str
    open: bool
    signals: tuple[tuple[str, int], ...]


def _by_stream(ports: Sequence[Port]) -> list[Port]:
    """Ports with those of a stream together: valid, ready, payload; then all others."""
    by_name = {port.name: port for port in ports}
    streams = [name.removesuffix("__valid") for name in by_name if name.endswith("__valid")]
    names = [f"{stream}__{part}" for stream in streams for part in _HANDSHAKE]
    first = [by_name[name] for name in names if name in by_name]
    return first + [port for port in ports if port not in first]


def _place(instance: Instance) -> tuple[int, int]:
    """Where an instance comes: memory last, stages in their order, and what is within them after all of them."""
    _, *rest = instance.path
    stage = rest[1] if rest[:1] == ["engine"] and len(rest) > 1 else ""
    order = _ORDER.index(stage) if stage in _ORDER else len(_ORDER) + (rest[:1] != ["engine"])
    return len(rest) > 2, order if stage or rest[:1] != ["engine"] else -1


def groups(found: Sequence[Instance]) -> list[Group]:
    """Return a group for the clock, and one for each instance: open are the stages of the engine and the memory, of the
    lanes the first."""
    top = found[0].path[0]
    ordered = sorted(found[1:], key=_place)
    return [Group("clock", True, ((f"{top}.clk", 1), (f"{top}.rst", 1))), *(
        Group(".".join(instance.path[1:]), len(instance.path) <= 3 and instance.path[-1] in (*_ORDER, "memory"),
              tuple((".".join((*instance.path, port.name)), port.width) for port in _by_stream(instance.ports)))
        for instance in ordered if instance.ports)]


def gtkwave(shown: Sequence[Group], dump: Path, start: int, end: int) -> str:
    """Return a save file of GTKWave for a dump in the same folder.

    Parameters
    ----------
    start, end : int
        First and last time of the dump, in its own unit. All of it is in sight at first.
    """
    # A zoom of -z stands for 2^z units of time in 200 pixels (calczoom of GTKWave's src/zoombuttons.c).
    zoom = math.log2(max(end - start, 1) * 200 / _PIXELS)

    def lines() -> Iterator[str]:
        yield from (f'[dumpfile] "{dump.name}"', "[sst_expanded] 1", *_WINDOW, f"[timestart] {start}",
                    f"*{-zoom:.6f} {start}")
        for group in shown:
            yield from ("@800200" if group.open else "@c00200", f"-{group.name}")
            for name, width in group.signals:
                yield from ("@28" if width == 1 else "@22", name if width == 1 else f"{name}[{width - 1}:0]")
            yield from ("@1000200" if group.open else "@1401200", f"-{group.name}")

    return "\n".join(lines()) + "\n"


def surfer(shown: Sequence[Group]) -> str:
    """Return a file of commands for Surfer. It has no groups in them: the closed ones are left out."""
    def lines() -> Iterator[str]:
        for group in shown:
            if group.open:
                yield f"divider_add {group.name}"
                yield from (f"variable_add {name}" for name, _ in group.signals)
        yield "zoom_fit"

    return "\n".join(lines()) + "\n"
