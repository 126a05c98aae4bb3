"""The parts of the SDRAM controller alone, on both simulators: what they request, and when."""

from typing import Any

import pytest

from hw.sdram.bank_machine import BankMachine
from hw.sdram.initialiser import Initialiser
from hw.sdram.refresher import Refresher
from hw.sdram.segmenter import Segmenter
from sim.tools.toolchain import SIMULATORS
from tests.hw.sdram.parts import ODD, PART
from tests.hw.stages import run_stage, stage_id

CASES = [
    (Segmenter, PART),
    *((stage, part, clock_mhz) for stage in (Initialiser, Refresher, BankMachine)
      for part, clock_mhz in ((PART, 100), (ODD, 133))),
]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=stage_id)
def test_stage(case: tuple[Any, ...], simulator: str) -> None:
    run_stage(case, simulator)
