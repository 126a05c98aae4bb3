"""The model of the SDRAM chip against commands that come too early or too late."""

from dataclasses import replace
from pathlib import Path

import pytest

from sim.board.sdram_chip import SdramChip
from sim.dram.memory import RAM
from sim.tools.build import build
from sim.tools.errors import SimulationError
from sim.tools.run import run
from tests.hw.sdram.parts import ODD


def chip(less: str | None) -> None:
    part = replace(ODD, t_refi=20_000)
    built = build(SdramChip, part, 100, simulator="icarus", sources=(RAM,))
    run(built, "sim.testbenches.tb_sdram_chip", (part, 100, less))


def test_the_chip_takes_the_least_distances() -> None:
    chip(None)


@pytest.mark.parametrize(("less", "message"), [
    ("rcd", "tRCD"), ("rp", "tRP: activate"), ("ras", "tRAS"), ("rc", "tRC: activate"), ("rrd", "tRRD"), ("wr", "tWR"),
    ("rfc", "tRFC"), ("interval", "tREFI"), ("mrd", "tMRD"), ("power_up", "initialisation: command before"),
    ("refreshes", "initialisation: mode before enough"), ("contention", "contention on the data pins"),
    ("closed", "column command to a closed bank"),
])
def test_the_chip_tells_a_violation(less: str, message: str) -> None:
    with pytest.raises(SimulationError) as failure:
        chip(less)
    assert f"odd: {message}" in Path(str(failure.value).rpartition("log: ")[2]).read_text()
