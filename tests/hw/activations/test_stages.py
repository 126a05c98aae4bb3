"""The activation path, whole and its align stage alone, on both simulators against golden."""

from typing import Any

import pytest

from golden.spec import FP16, INT4, SEEDLM3, SEEDLM4, SEEDLM4R, TRELLIS2
from hw.activations.activations import Activations
from hw.activations.align import Align
from hw.activations.mirror import Mirror
from hw.activations.rotate import Rotate
from sim.tools.toolchain import SIMULATORS
from tests.hw.stages import ECP5, ODD, run_stage, small, stage_id

CASES = [
    *((Activations, small(*args)) for args in ((SEEDLM4, 256), (SEEDLM3,), (SEEDLM4R,), (ODD, 32), (INT4, 128),
                                               (FP16, 128))),
    *((Activations, small(*args, **ECP5)) for args in ((SEEDLM3,), (ODD, 32))),
    *((Align, small(*args)) for args in ((SEEDLM4,), (SEEDLM3,), (SEEDLM4, 64, 8))),
    (Mirror, small(TRELLIS2, rotation=True)),
    *((Rotate, config) for config in (small(SEEDLM4, rotation=True), small(TRELLIS2, 128, 8, rotation=True, **ECP5))),
]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=stage_id)
def test_stage(case: tuple[Any, ...], simulator: str) -> None:
    run_stage(case, simulator)


def test_as_placed_on_ecp5() -> None:
    """What nextpnr reads: block RAMs with registers of their own."""
    run_stage((Activations, small(FP16, 32, max_cols=1 << 11, **ECP5)), "icarus", mapped_to="ecp5")
