"""Registers, supervisor and counters alone, on both simulators."""

from typing import Any

import pytest

from hw.engine.counters import Counters
from hw.engine.supervisor import Supervisor
from hw.registers.registers import RegisterFile
from sim.tools.toolchain import SIMULATORS
from tests.hw.stages import run_stage, stage_id

CASES = [(RegisterFile,), (Supervisor, 32), (Counters, 8)]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=stage_id)
def test_stage(case: tuple[Any, ...], simulator: str) -> None:
    run_stage(case, simulator)
