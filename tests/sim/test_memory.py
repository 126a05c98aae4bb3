"""The memory model under both simulators, against an independent AXI master and against its own timing numbers."""

import gc

import pytest

from sim.dram import preset
from sim.memory import MemoryModel
from sim.memory_pins import MemoryPins
from sim.runner import ROOT, build, run

FUNCTION, TIMING = "tb_memory", "tb_memory_timing"

CASES = [  # Icarus takes the narrow ones; all presets run on it, those with the most at stake on both
    ("icarus", "ddr4-2400", 64, (FUNCTION, TIMING)),
    ("icarus", "ddr3-1600", 64, (TIMING,)),
    ("icarus", "ideal", 32, (FUNCTION, TIMING)),
    ("icarus", "paper", 64, (TIMING,)),
    ("verilator", "ddr4-2400", 512, (FUNCTION, TIMING)),
    ("verilator", "ddr3-1600", 64, (TIMING,)),
    ("verilator", "paper", 64, (TIMING,)),
]


@pytest.mark.parametrize(("simulator", "memory", "data_bits", "testbenches"), CASES)
def test_memory(simulator, memory, data_bits, testbenches):
    args = preset(memory), 32, data_bits, 8192 * data_bits // 8
    built = build(MemoryPins, *args, simulator=simulator, sources=(ROOT / "sim" / "ram.v",))
    for testbench in testbenches:
        run(built, f"sim.testbenches.{testbench}", args)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(("data_bits", "size_bytes", "message"), [
    (48, 4096, "data_bits must be a power of two from 8 to 1024, not 48"),
    (2048, 4096, "data_bits must be a power of two from 8 to 1024, not 2048"),
    (64, 5000, r"size_bytes must be a multiple of 4096 and at most 2\*\*20, not 5000"),
    (64, 1 << 21, r"size_bytes must be a multiple of 4096 and at most 2\*\*20, not 2097152"),
])
def test_impossible(data_bits, size_bytes, message):
    with pytest.raises(ValueError, match=message):
        MemoryModel(preset("ideal"), 20, data_bits, size_bytes)
    gc.collect()  # while Amaranth's warning that it was not used is off
