"""Registers, checker, supervisor and counters alone, on both simulators."""

from typing import Any

import pytest

from golden.spec import FP16, INT4, SEEDLM3, SEEDLM3R, SEEDLM4
from hw.engine.checker import Checker
from hw.engine.counters import Counters
from hw.engine.supervisor import Supervisor
from hw.registers.registers import RegisterFile
from sim.tools.toolchain import SIMULATORS
from tests.hw.stages import ODD, run_stage, small, stage_id

CASES = [
    *((RegisterFile, *sizes) for sizes in ((25, 1), (41, 16))),
    *((Checker, config) for config in (small(SEEDLM4, 64), small(SEEDLM4, 32, addr_bits=64), small(SEEDLM3, 512),
                                       small(INT4, 128, addr_bits=16), small(ODD, 64, addr_bits=41), small(FP16, 32),
                                       small(SEEDLM3R, 128))),
    (Supervisor, small(SEEDLM4)),
    (Counters,),
]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=stage_id)
def test_stage(case: tuple[Any, ...], simulator: str) -> None:
    run_stage(case, simulator)
