"""What the memory model moves, measured in its RTL."""

import json
import tempfile
from pathlib import Path

from sim.dram.memory import RAM
from sim.dram.memory_pins import MemoryPins
from sim.dram.presets import Dram
from sim.tools.build import build
from sim.tools.run import run

__all__ = ["sequential_rate"]

_ADDR_BITS = 32
_WORDS = 8192


def sequential_rate(dram: Dram, data_bits: int, simulator: str = "verilator") -> float:
    """Share of the peak, 0 to 1, that a sequential stream of reads gets from the memory over ten refresh intervals.

    A master that asks for 4 KB bursts (256 words at most) without a pause reads words of ``data_bits``; the first call
    with a memory builds a simulator.

    Raises
    ------
    sim.tools.errors.SimulationError
        When a word is wrong.
    sim.tools.errors.ToolError
        When the simulator is missing or its build fails.
    """
    args = dram, _ADDR_BITS, data_bits, _WORDS * data_bits // 8
    built = build(MemoryPins, *args, simulator=simulator, sources=(RAM,))
    with tempfile.TemporaryDirectory(prefix="seedlm-") as folder:
        run(built, "sim.dram.rate_testbench", args, seed=1, directory=Path(folder))
        return json.loads((Path(folder) / "rate.json").read_text())
