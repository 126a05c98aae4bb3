"""The SDRAM controller against the model of the chip."""

import gc

import pytest

from hw.sdram.controller import SdramController
from hw.sdram.part import MT48LC16M16A2_75, SdramPart
from sim.board.sdram_board import SdramBench
from sim.dram.memory import RAM
from sim.tools.build import build
from sim.tools.run import run
from tests.hw.sdram.parts import ODD, PART


@pytest.mark.parametrize(("part", "clock_mhz"), [(PART, 100), (ODD, 133)], ids=["part", "odd"])
def test_controller(part: SdramPart, clock_mhz: float) -> None:
    built = build(SdramBench, part, clock_mhz, simulator="icarus", sources=(RAM,))
    run(built, "sim.testbenches.tb_sdram_controller", (part, clock_mhz))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_clock_beyond_the_part() -> None:
    with pytest.raises(ValueError, match=r"MT48LC16M16A2-75 runs at 133 MHz at most, not 140"):
        SdramController(MT48LC16M16A2_75, 140)
    gc.collect()  # while Amaranth's warning that it was not used is off
