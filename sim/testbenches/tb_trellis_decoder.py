"""Trellis decoder: the integers of rows, a block a cycle or with idle cycles between them, against golden."""

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from golden.trellis.matrix import TrellisMatrix
from hw.lanes.trellis_decoder import trellis_decoder_latency
from sim.bench.streams import cycles, start
from sim.device.random_operands import random_trellis_matrix
from sim.tools.run import arguments


def _numerators(bits: int, width: int, count: int) -> list[int]:
    """Signed integers of ``width`` bits, the first one in the lowest bits."""
    half = 1 << (width - 1)
    return [(((bits >> width * i) + half) & (2 * half - 1)) - half for i in range(count)]


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def integers_of_rows(dut: Any, idle: float) -> None:
    fmt, config = arguments()
    rng = np.random.default_rng(random.getrandbits(32))
    latency = trellis_decoder_latency(fmt, config)
    rows: list[TrellisMatrix] = [random_trellis_matrix(fmt, 1, fmt.c * random.randint(1, 6), rng) for _ in range(60)]
    await start(dut, dut.valid, dut.head, dut.block)
    found = []

    async def observe() -> None:
        await cycles(dut, latency)
        found.append(_numerators(int(dut.o.value), config.numerator_bits, fmt.c))

    for row in rows:
        for number, block in enumerate(row.packed()[0]):
            while random.random() < idle:
                dut.valid.value, dut.head.value = 0, random.getrandbits(1)
                dut.block.value = random.getrandbits(fmt.block_bits)
                await RisingEdge(dut.clk)
            dut.valid.value, dut.head.value, dut.block.value = 1, number == 0, int(block)
            await RisingEdge(dut.clk)
            if number:
                cocotb.start_soon(observe())
    await cycles(dut, latency + 1)
    expected = np.concatenate([row.integers().reshape(-1, fmt.c) for row in rows])
    assert found == expected.tolist()
