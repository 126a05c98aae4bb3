"""Queues, slices, gates and the arbiter alone, on both simulators: random data, idle cycles and back-pressure."""

import pytest

from hw.parts.axi_arbiter import AxiArbiter
from hw.parts.credit_gate import CreditGate
from hw.parts.stream_queue import StreamQueue
from hw.parts.stream_slice import StreamSlice
from sim.tools.toolchain import SIMULATORS
from tests.hw.stages import run_stage, stage_id

CASES = [
    *((StreamQueue, width, depth) for width, depth in ((7, 1), (33, 4), (5, 6))),
    (StreamSlice, 20),
    *((CreditGate, 20, depth) for depth in (3, 16)),
    (AxiArbiter, 14, 32),
]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=stage_id)
def test_stage(case, simulator):
    run_stage(case, simulator)
