"""The picture of the engine beside the engine: the same stages, and the same streams between them."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from amaranth.hdl import Fragment
from amaranth.lib import wiring

from golden.spec import SEEDLM4
from golden.tree import ROOT
from host.plots.engine_picture import BOXES, FLOWS, Flow, engine_picture
from hw.config import EngineConfig
from hw.engine.engine import Engine

CONTAINERS = ("activations", "lane", "results")
"""Components that the picture shows from within; all lanes are alike."""
SVG = "{http://www.w3.org/2000/svg}"


def stages(tree: Fragment) -> Iterator[tuple[str, wiring.Component]]:
    """Path and component of every submodule that the picture may show."""
    for inner, name, _ in tree.subfragments:
        path = "lane" if name.startswith("lane") else name
        yield path, component(inner)
        for deeper, below, _ in inner.subfragments if path in CONTAINERS else ():
            yield f"{path}/{below}", component(deeper)


def component(fragment: Fragment) -> wiring.Component:
    return next(origin for origin in fragment.origins if isinstance(origin, wiring.Component))


def unflipped(port: Any) -> Any:
    return wiring.flipped(port) if isinstance(port, wiring.FlippedInterface) else port


def owners(found: list[tuple[str, wiring.Component]]) -> dict[int, str]:
    """The path of the component of each interface."""
    ports = ((path, getattr(stage, name)) for path, stage in found for name in stage.signature.members)
    return {id(unflipped(port)): path for path, value in ports
            for port in (value if isinstance(value, list) else [value])}


@cache
def design() -> tuple[set[str], set[frozenset[str]]]:
    """Paths of the stages of an engine, and pairs of those that a stream joins, also through what is around them."""
    connected: list[list[Any]] = []
    connect = wiring.connect

    def connecting(m: Any, *args: Any, **options: Any) -> None:
        connected.append([unflipped(each) for each in (*args, *options.values())])
        connect(m, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "connect", connecting)
        found = list(stages(Fragment.get(Engine(EngineConfig(SEEDLM4, 64)), None)))
    paths, joined = owners(found), []
    for ends in connected:
        group = {id(end) for end in ends}
        touched = [other for other in joined if other & group]
        joined = [*(other for other in joined if not other & group), group.union(*touched)]
    pairs = set()
    for group in joined:
        ends = {paths[end] for end in group if end in paths}
        inner = frozenset(end for end in ends if not any(other.startswith(f"{end}/") for other in ends))
        if len(inner) > 1:
            pairs.add(inner)
    return {path for path, _ in found if path not in CONTAINERS}, pairs


def drawn(flow: Flow) -> set[frozenset[str]]:
    """What a stream in the picture may be in the design: also one of the component around a stage."""
    ends = [[path, path.partition("/")[0]] for path in (flow.start, flow.end)]
    return {frozenset((start, end)) for start in ends[0] for end in ends[1]}


def test_every_stage_has_a_box() -> None:
    assert {box.path for box in BOXES if box.path} == design()[0]
    assert len({(box.column, box.row) for box in BOXES}) == len(BOXES)


def test_every_stream_has_a_line() -> None:
    shown = [drawn(flow) for flow in FLOWS if flow.stream and "memory" not in (flow.start, flow.end)]
    streams = design()[1]
    assert [stream for stream in streams if not any(stream in each for each in shown)] == []
    assert [sorted(map(sorted, each)) for each in shown if not each & streams] == []


def test_a_stage_that_is_left_out_is_found() -> None:
    """The design has more than this test could name by itself."""
    found, streams = design()
    assert {"activations/align", "lane/lfsr_bank", "results/scale", "unpacker", "read_dma"} <= found
    assert frozenset(("unpacker", "join")) in streams
    assert frozenset(("activations/queue", "join")) in streams


def test_the_drawing() -> None:
    """It is SVG, follows the reader's scheme, and each box leads to a file that there is."""
    text = engine_picture()
    root = ET.fromstring(text)
    assert "prefers-color-scheme: dark" in text
    names = [each.text for each in root.iter(f"{SVG}text")]
    assert {box.name for box in BOXES} <= set(names)
    links = [link.get("href", "") for link in root.iter(f"{SVG}a")]
    assert len(links) == len([box for box in BOXES if box.path])
    for link in links:
        assert (ROOT / "docs" / link).is_file(), link
    width, height = map(float, root.get("viewBox", "").split()[2:])
    for flow in FLOWS:
        assert all(0 < x < width and 0 < y < height for x, y in flow.points)
