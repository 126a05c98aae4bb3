"""Drains, normalise and scale, alone and together, on both simulators against golden's float32."""

from typing import Any

import pytest

from golden.spec import FP16, SEEDLM4, SEEDLM4R
from hw.rounding.drain import Drain
from hw.rounding.normalise import Normalise
from hw.rounding.rounding import Rounding
from hw.rounding.scale import Scale
from hw.rounding.wide_drain import WideDrain
from sim.tools.toolchain import SIMULATORS
from tests.hw.stages import ECP5, ODD, run_stage, small, stage_id

CASES = [
    *((Drain, small(SEEDLM4, bus_bits)) for bus_bits in (32, 128)),
    (Drain, small(FP16, 512, max_rows=256, **ECP5)),
    (Drain, small(SEEDLM4R, 512, **ECP5)),
    (WideDrain, small(SEEDLM4, 256, results_per_cycle=4, **ECP5)),
    *((Rounding, small(fmt, 128, results_per_cycle=2), 5) for fmt in (SEEDLM4, SEEDLM4R)),
    (WideDrain, small(SEEDLM4, 64, results_per_cycle=2)),
    *((Normalise, small(fmt)) for fmt in (SEEDLM4, FP16)),
    *((Scale, small(fmt)) for fmt in (SEEDLM4, ODD, FP16, SEEDLM4R)),
    *((stage, small(SEEDLM4, **ECP5)) for stage in (Normalise, Scale)),
    (Scale, small(SEEDLM4R, **ECP5)),
]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=stage_id)
def test_stage(case: tuple[Any, ...], simulator: str) -> None:
    run_stage(case, simulator)
