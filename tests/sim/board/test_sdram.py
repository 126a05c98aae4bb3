"""The SDRAM controller against the chip model, and the chip model against commands that come too early or too late."""

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from hw.sdram.controller import SdramController
from hw.sdram.part import AS4C32M16SB_7, IS42S16160B_7, MT48LC16M16A2_75, W9825G6KH_6, slowest
from sim.board.sdram_board import SdramBench
from sim.board.sdram_chip import SdramChip
from sim.dram.memory import RAM
from sim.tools.build import build
from sim.tools.errors import SimulationError
from sim.tools.run import run

PART = replace(MT48LC16M16A2_75, row_bits=5, power_up_us=5)
ODD = replace(PART, name="odd", t_rcd=37, t_rp=53, t_ras=81, t_rc=170, t_rrd=59, t_wr=41, t_rfc=123, t_refi=3000,
              t_mrd_ck=3, power_up_refreshes=5)
"""No time is the sum of others; at 133 MHz most are rounded up."""


@pytest.mark.parametrize(("part", "clock_mhz"), [(PART, 100), (ODD, 133)], ids=["part", "odd"])
def test_controller(part, clock_mhz):
    built = build(SdramBench, part, clock_mhz, simulator="icarus", sources=(RAM,))
    run(built, "sim.testbenches.tb_sdram_controller", (part, clock_mhz))


def chip(less):
    part = replace(ODD, t_refi=20_000)
    built = build(SdramChip, part, 100, simulator="icarus", sources=(RAM,))
    run(built, "sim.testbenches.tb_sdram_chip", (part, 100, less))


def test_the_chip_takes_the_least_distances():
    chip(None)


@pytest.mark.parametrize(("less", "message"), [
    ("rcd", "tRCD"), ("rp", "tRP: activate"), ("ras", "tRAS"), ("rc", "tRC: activate"), ("rrd", "tRRD"), ("wr", "tWR"),
    ("rfc", "tRFC"), ("interval", "tREFI"), ("mrd", "tMRD"), ("power_up", "initialisation: command before"),
    ("refreshes", "initialisation: mode before enough"), ("contention", "contention on the data pins"),
    ("closed", "column command to a closed bank"),
])
def test_the_chip_tells_a_violation(less, message):
    with pytest.raises(SimulationError) as failure:
        chip(less)
    assert f"odd: {message}" in Path(str(failure.value).rpartition("log: ")[2]).read_text()


def test_what_the_parts_give():
    assert MT48LC16M16A2_75.size_bytes == IS42S16160B_7.size_bytes == 32 << 20
    assert MT48LC16M16A2_75.clocks("t_rcd", 100) == 2
    assert MT48LC16M16A2_75.clocks("t_rfc", 100) == 7
    assert W9825G6KH_6.clocks("t_wr", 10) == 2
    assert MT48LC16M16A2_75.refresh_interval(100) == 781
    assert MT48LC16M16A2_75.sequential_limit(100) == pytest.approx(1 - 11 / 781)


def test_the_slowest_of_several_parts():
    """In every parameter, and no larger than any."""
    part = slowest(MT48LC16M16A2_75, replace(AS4C32M16SB_7, t_refi=4000), W9825G6KH_6)
    assert (part.max_mhz, part.t_rcd, part.t_rc, part.t_rrd, part.t_wr_ck, part.t_refi) == (133, 21, 66, 15, 2, 4000)
    assert part.size_bytes == 32 << 20


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_clock_beyond_the_part():
    with pytest.raises(ValueError, match=r"MT48LC16M16A2-75 runs at 133 MHz at most, not 140"):
        SdramController(MT48LC16M16A2_75, 140)
    gc.collect()  # while Amaranth's warning that it was not used is off
