"""The memory model under both simulators, against an independent AXI master and against its own timing numbers."""

import gc
from dataclasses import replace

import pytest

from sim.dram.dram import Dram
from sim.dram.memory import RAM, MemoryModel
from sim.dram.memory_pins import MemoryPins
from sim.dram.presets import PRESETS, VARIANTS, preset
from sim.tools.build import build
from sim.tools.run import run

ODD = Dram("odd", "made up: every timing differs from the sum of others", ratio=3, groups=2, banks=4, row_bursts=64,
           t_bl=3, t_cl=4, t_cwl=2, t_rcd=7, t_rp=5, t_rp_all=6, t_ras=29, t_rc=31, t_ccd_s=3, t_ccd_l=5, t_rrd_s=8,
           t_rrd_l=11, t_faw=37, t_rtp=8, t_wr=13, t_wtr_s=9, t_wtr_l=14, t_turn=1, t_rfc=71, t_refi=2300)

FUNCTION, TIMING, WRITES, REFRESH = "tb_memory", "tb_memory_timing", "tb_memory_writes", "tb_memory_refresh"
UNDISTURBED = replace(PRESETS["lpddr5-6400"], name="undisturbed", t_rfc_bank=0, t_refi_bank=0, t_rfc=0, t_refi=0)

CASES = [  # Icarus takes the narrow ones; all presets run on it; Verilator's builds take long
    ("icarus", "ddr4-2400", 64, (FUNCTION, TIMING, WRITES)),
    ("icarus", "ddr4-3200", 64, (TIMING, WRITES)),
    ("icarus", "ddr3-1600", 64, (TIMING, WRITES)),
    ("icarus", "lpddr4-2400", 64, (TIMING, WRITES)),
    ("icarus", "lpddr4-2400-perbank", 64, (REFRESH,)),
    ("icarus", UNDISTURBED, 64, (TIMING,)),
    ("icarus", "lpddr5-6400", 64, (FUNCTION, REFRESH, WRITES)),
    ("icarus", "lpddr5-6400-hidden", 64, (REFRESH, WRITES)),
    ("icarus", "hbm2", 64, (TIMING, WRITES)),
    ("icarus", "hbm2-perbank", 64, (REFRESH,)),
    ("icarus", "sdram-133", 32, (FUNCTION, TIMING, WRITES)),
    ("icarus", "ideal", 32, (FUNCTION, TIMING, WRITES)),
    ("icarus", ODD, 128, (TIMING, WRITES)),
    ("icarus", "paper", 64, (TIMING, WRITES)),
    ("verilator", "ddr4-2400", 512, (FUNCTION, TIMING, WRITES)),
    ("verilator", "lpddr5-6400", 64, (REFRESH, WRITES)),
    ("verilator", "paper", 64, (TIMING, WRITES)),
]


def check(simulator, dram, addr_bits, data_bits, base, testbenches):
    args = dram, addr_bits, data_bits, 8192 * data_bits // 8, base
    built = build(MemoryPins, *args, simulator=simulator, sources=(RAM,))
    for testbench in testbenches:
        run(built, f"sim.testbenches.{testbench}", args)


@pytest.mark.parametrize(("simulator", "memory", "data_bits", "testbenches"), CASES,
                         ids=[f"{case[0]}-{getattr(case[1], 'name', case[1])}-{case[2]}" for case in CASES])
def test_memory(simulator, memory, data_bits, testbenches):
    check(simulator, (PRESETS | VARIANTS).get(memory, memory), 32, data_bits, 0, testbenches)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize(("addr_bits", "base"), [(48, 3 << 40), (64, (1 << 64) - 8192 * 8), (20, 36 * 4096)])
def test_memory_somewhere_else(simulator, addr_bits, base):
    """In the middle of the addresses, at their very end, and at an address that is no multiple of its size."""
    check(simulator, PRESETS["ddr4-2400"], addr_bits, 64, base, (FUNCTION, WRITES))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(("addr_bits", "data_bits", "size_bytes", "base", "message"), [
    (20, 48, 4096, 0, "data_bits must be a power of two from 8 to 1024, not 48"),
    (20, 2048, 4096, 0, "data_bits must be a power of two from 8 to 1024, not 2048"),
    (20, 64, 5000, 0, r"size_bytes must be a multiple of 4096 and at most 2\*\*20, not 5000"),
    (20, 64, 1 << 21, 0, r"size_bytes must be a multiple of 4096 and at most 2\*\*20, not 2097152"),
    (65, 64, 4096, 0, "addr_bits must be at most 64, not 65"),
    (20, 64, 4096, 2048, r"base must be a multiple of 4096 and at most 2\*\*20 - 4096, not 2048"),
    (20, 64, 4096, -4096, r"base must be a multiple of 4096 and at most 2\*\*20 - 4096, not -4096"),
    (20, 64, 8192, (1 << 20) - 4096, r"base must be a multiple of 4096 and at most 2\*\*20 - 8192, not 1044480"),
])
def test_impossible(addr_bits, data_bits, size_bytes, base, message):
    with pytest.raises(ValueError, match=message):
        MemoryModel(preset("ideal"), addr_bits, data_bits, size_bytes, base)
    gc.collect()  # while Amaranth's warning that it was not used is off
