"""The serial link, stage by stage and whole: undamaged requests are carried out, damaged ones do nothing."""

from typing import Any

import pytest

from hw.boards import BOARDS
from hw.boards.board_system import BAUD
from hw.link.decoder import RequestDecoder
from hw.link.identity import Identity
from hw.link.link import Link
from hw.link.memory_bridge import MemoryBridge
from hw.link.register_bridge import RegisterBridge
from sim.bench.link_bench import FramesBench, UartBench
from sim.tools.build import build
from sim.tools.run import run
from sim.tools.toolchain import SIMULATORS

CASES = [
    *(("uart", UartBench, divisor) for divisor in {2, *(round(board.clock_hz / BAUD) for board in BOARDS.values())}),
    ("frames", FramesBench, 60),
    ("decoder", RequestDecoder, 14),
    ("identity", Identity, 1 << 14, 12_345_678),
    ("register_bridge", RegisterBridge),
    ("memory_bridge", MemoryBridge, 10),
    ("link", Link, 2, 14, 12_345_678),
]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, (case[0], *case[2:]))))
def test_link(case: tuple[Any, ...], simulator: str) -> None:
    stage, component, *args = case
    run(build(component, *args, simulator=simulator), f"sim.testbenches.tb_{stage}", tuple(args))
