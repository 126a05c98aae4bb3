"""The memory model under both simulators, against an independent AXI master and against its own timing numbers."""

import gc

import pytest

from sim.dram.memory import RAM, MemoryModel
from sim.dram.memory_pins import MemoryPins
from sim.dram.presets import PRESETS, Dram, preset
from sim.tools.build import build
from sim.tools.run import run

ODD = Dram("odd", "made up: every timing differs from the sum of others", ratio=3, groups=2, banks=4, row_bursts=64,
           t_bl=3, t_cl=4, t_cwl=2, t_rcd=7, t_rp=5, t_rp_all=6, t_ras=29, t_rc=31, t_ccd_s=3, t_ccd_l=5, t_rrd_s=8,
           t_rrd_l=11, t_faw=37, t_rtp=8, t_wr=13, t_wtr_s=9, t_wtr_l=14, t_turn=1, t_rfc=71, t_refi=2300)

FUNCTION, TIMING, WRITES = "tb_memory", "tb_memory_timing", "tb_memory_writes"

CASES = [  # Icarus takes the narrow ones; all presets run on it; Verilator's builds take long
    ("icarus", "ddr4-2400", 64, (FUNCTION, TIMING, WRITES)),
    ("icarus", "ddr4-3200", 64, (TIMING, WRITES)),
    ("icarus", "ddr3-1600", 64, (TIMING, WRITES)),
    ("icarus", "lpddr4-2400", 64, (TIMING, WRITES)),
    ("icarus", "lpddr5-6400", 64, (FUNCTION, TIMING, WRITES)),
    ("icarus", "hbm2", 64, (TIMING, WRITES)),
    ("icarus", "sdram-133", 32, (FUNCTION, TIMING, WRITES)),
    ("icarus", "ideal", 32, (FUNCTION, TIMING, WRITES)),
    ("icarus", ODD, 128, (TIMING, WRITES)),
    ("icarus", "paper", 64, (TIMING, WRITES)),
    ("verilator", "ddr4-2400", 512, (FUNCTION, TIMING, WRITES)),
    ("verilator", "lpddr5-6400", 64, (TIMING, WRITES)),
    ("verilator", "paper", 64, (TIMING, WRITES)),
]


@pytest.mark.parametrize(("simulator", "memory", "data_bits", "testbenches"), CASES,
                         ids=[f"{case[0]}-{getattr(case[1], 'name', case[1])}-{case[2]}" for case in CASES])
def test_memory(simulator, memory, data_bits, testbenches):
    args = PRESETS.get(memory, memory), 32, data_bits, 8192 * data_bits // 8
    built = build(MemoryPins, *args, simulator=simulator, sources=(RAM,))
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
