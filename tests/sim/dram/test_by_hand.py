"""The memory model against times that were computed by hand: sim/testbenches/tb_memory_by_hand.py."""

from dataclasses import replace

import pytest

from sim.dram.dram import Dram
from sim.dram.memory import RAM
from sim.dram.memory_pins import MemoryPins
from sim.dram.presets import preset
from sim.tools.build import build
from sim.tools.run import run

TWO_RANKS = replace(preset("ddr4-2400"), ranks=2)


@pytest.mark.parametrize(("simulator", "dram"), [
    ("icarus", TWO_RANKS), ("icarus", preset("lpddr5-6400")), ("verilator", preset("ddr4-2400")),
], ids=["icarus-two-ranks", "icarus-lpddr5", "verilator-ddr4"])
def test_times_are_those_computed_by_hand(simulator: str, dram: Dram) -> None:
    args = dram, 32, 64, 8192 * 8, 0
    run(build(MemoryPins, *args, simulator=simulator, sources=(RAM,)), "sim.testbenches.tb_memory_by_hand", args)
