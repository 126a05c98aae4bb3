"""Every stage alone, under both simulators, against golden: random data, idle cycles and back-pressure."""

import pytest

from golden.spec import SEEDLM3, SEEDLM4, BlockFormat
from hw.lfsr_bank import LfsrBank
from sim.runner import build, run
from sim.toolchain import SIMULATORS

ODD = BlockFormat(c=5, p=2, k=7, coef_bits=3)
WIDE = BlockFormat(c=16, p=2, k=24)

CASES = [
    (LfsrBank, fmt) for fmt in (SEEDLM4, SEEDLM3, ODD, WIDE)
]


def _name(value):
    return value.name if isinstance(value, BlockFormat) else getattr(value, "__name__", None)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(_name(part) or part) for part in case))
def test_block(case, simulator):
    component, *args = case
    stage = component.__module__.rpartition(".")[2]
    run(build(component, *args, simulator=simulator), f"sim.testbenches.tb_{stage}", tuple(args))
