"""LFSR bank: the states of a block, against the bit-serial LFSR of golden."""

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from golden.lfsr import states
from sim.tools.run import arguments


@cocotb.test()
async def every_state_of_a_block(dut: Any) -> None:
    (fmt,) = arguments()
    count = fmt.c * fmt.p
    seeds = range(1, fmt.seeds + 1) if fmt.k <= 8 else [1, fmt.seeds, *random.sample(range(1, fmt.seeds + 1), 300)]
    for seed in seeds:
        dut.seed.value = seed
        await Timer(1, "ns")
        window = int(dut.window.value)
        found = [window >> i & fmt.seeds for i in range(count)]
        assert found == states(np.array(seed), fmt.k, count).tolist(), f"seed {seed:#x}"
