"""What the simulated memory gives to a master that does nothing but read, measured in its RTL."""

import json
import tempfile
from pathlib import Path

from sim.dram.dram import Dram
from sim.dram.memory import RAM
from sim.dram.memory_pins import MemoryPins
from sim.tools.build import build
from sim.tools.run import run

__all__ = ["sequential_rate"]

_ADDR_BITS = 32
_WORDS = 8192
"""Size of the memory in words; the stream of reads goes round it."""


def sequential_rate(dram: Dram, data_bits: int, simulator: str = "verilator") -> float:
    """Share of the peak, 0 to 1, that a sequential stream of reads gets from the memory over ten refresh intervals.

    A master requests bursts of 4 KB (of 256 words at most) without a pause and reads words of ``data_bits`` bits. The
    peak is :meth:`sim.dram.dram.Dram.word_rate` words a cycle. The first call with a memory builds a simulator.

    Raises
    ------
    sim.tools.errors.SimulationError
        When a word is wrong.
    sim.tools.errors.ToolError
        When the simulator is missing or its build fails.
    """
    args = dram, _ADDR_BITS, data_bits, _WORDS * data_bits // 8, 0
    built = build(MemoryPins, *args, simulator=simulator, sources=(RAM,))
    with tempfile.TemporaryDirectory(prefix="seedlm-") as folder:
        run(built, "sim.device.memory_rate_testbench", args, seed=1, directory=Path(folder))
        return json.loads((Path(folder) / "rate.json").read_text())
