"""Lanes and their parts, on both simulators against golden: random blocks, idle cycles, bounds of every width."""

from typing import Any

import pytest

from golden.spec import (
    FP16,
    INT3,
    INT4,
    INT8,
    SEEDLM3,
    SEEDLM4,
    SEEDLM4R,
    TRELLIS2,
    TRELLIS3,
    TRELLIS4,
    GroupFormat,
    WeightFormat,
)
from hw.config import ConfigError
from hw.lanes.fp16_lane import Fp16Lane
from hw.lanes.integer_lane import IntegerLane
from hw.lanes.join import Join
from hw.lanes.lfsr_bank import LfsrBank
from hw.lanes.seedlm_lane import SeedlmLane
from hw.lanes.trellis_decoder import TrellisDecoder
from hw.lanes.trellis_lane import TrellisLane
from sim.tools.toolchain import SIMULATORS
from tests.hw.stages import BINARY, DSP, ECP5, ODD, SHORT, UNARY, WIDE, run_stage, small, stage_id

CASES = [
    *((LfsrBank, fmt) for fmt in (SEEDLM4, SEEDLM3, ODD, WIDE)),
    *((TrellisDecoder, fmt, small(fmt)) for fmt in (TRELLIS4, TRELLIS3, BINARY)),
    (TrellisDecoder, TRELLIS2, small(TRELLIS2, **ECP5)),
    *((SeedlmLane, small(fmt)) for fmt in (SEEDLM4, SEEDLM3, SEEDLM4R, ODD, WIDE, SHORT, UNARY)),
    *((SeedlmLane, small(fmt, **DSP)) for fmt in (SEEDLM4, SEEDLM3, ODD, SHORT, UNARY)),
    *((SeedlmLane, small(*args, **ECP5)) for args in ((SEEDLM4,), (SEEDLM3,), (SEEDLM4R,), (WIDE,), (SEEDLM4, 64, 8))),
    *((SeedlmLane, small(fmt, **ECP5, **DSP)) for fmt in (SEEDLM4, SEEDLM3)),
    *((IntegerLane, small(*args, max_cols=512)) for args in ((INT4,), (INT3,), (INT4, 64, 8))),
    *((IntegerLane, small(fmt, max_cols=512, **ECP5)) for fmt in (INT8, GroupFormat(c=3, bits=5))),
    *((Fp16Lane, small(FP16, **options)) for options in ({}, ECP5)),
    *((TrellisLane, small(fmt)) for fmt in (TRELLIS4, BINARY)),
    *((TrellisLane, small(*args, **ECP5)) for args in ((TRELLIS3,), (TRELLIS2, 64, 8))),
    *((Join, small(SEEDLM4, 128, **options)) for options in ({}, ECP5)),
    (Join, small(SEEDLM4, 256, results_per_cycle=2, **ECP5), 3),
]
# What nextpnr reads: multipliers with registers of their own.
MAPPED = [(SeedlmLane, small(SEEDLM4, **ECP5)), (Fp16Lane, small(FP16, **ECP5))]
# What `make area` counts. Integer lanes add up products whose upper bits Yosys has trimmed.
MAPPED_TO_XC7 = [
    (SeedlmLane, small(SEEDLM4)), (SeedlmLane, small(SEEDLM4, **DSP)), (SeedlmLane, small(SEEDLM3, **DSP)),
    (IntegerLane, small(INT4, max_cols=512)),
    (TrellisLane, small(TRELLIS4))]
# Accumulators driven to their bounds by the widest rows there are; too long for Icarus.
WIDEST = [(lane, small(fmt, max_cols=1 << 16))
          for lane, fmt in ((SeedlmLane, SEEDLM4), (SeedlmLane, SEEDLM3), (IntegerLane, INT4), (TrellisLane, TRELLIS4),
                            (Fp16Lane, FP16))]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=stage_id)
def test_stage(case: tuple[Any, ...], simulator: str) -> None:
    run_stage(case, simulator)


@pytest.mark.parametrize("case", MAPPED, ids=stage_id)
def test_as_placed_on_ecp5(case: tuple[Any, ...]) -> None:
    run_stage(case, "icarus", mapped_to="ecp5")


@pytest.mark.parametrize("case", MAPPED_TO_XC7, ids=stage_id)
def test_as_synthesised_for_xc7(case: tuple[Any, ...]) -> None:
    run_stage(case, "icarus", mapped_to="xc7")


@pytest.mark.parametrize("case", WIDEST, ids=stage_id)
def test_widest_rows(case: tuple[Any, ...]) -> None:
    run_stage(case, "verilator")


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(("lane", "fmt", "message"), [
    (SeedlmLane, INT4, "SeedLM lane: the weights must be of a SeedLM format, not int4"),
    (TrellisLane, SEEDLM4, "trellis lane: the weights must be of a trellis format, not seedlm4"),
    (IntegerLane, SEEDLM4, "integer lane: the weights must be of an integer format, not seedlm4"),
    (Fp16Lane, INT4, "FP16 lane: the weights must be of the format fp16, not int4"),
])
def test_lanes_refuse_formats_of_other_lanes(lane: Any, fmt: WeightFormat, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lane(small(fmt))
