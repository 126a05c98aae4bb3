"""Drain: sums leave in row order with the factor of their matrix, padding rows are dropped."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.payloads import lane_sum, matrix_layout, sum_layout
from sim.bench.streams import Stream, receive, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def rows_in_order(dut: Any, stall: float) -> None:
    (config,) = arguments()
    i, o, matrices = Stream(dut, "i"), Stream(dut, "o"), Stream(dut, "matrices")
    await start(dut, i.valid, o.ready, matrices.valid)
    announced: list[int] = []
    groups: list[list[int]] = []
    expected: list[int] = []
    for rows in (1, config.lanes, 1, 3 * config.lanes - 1, 5 * config.lanes + 1, 2):
        factor = random.getrandbits(9)
        announced.append(matrix_layout(config).const({"rows": rows, "factor": factor}).as_bits())
        sums = [random.getrandbits(lane_sum(config).size) for _ in range(-(-rows // config.lanes) * config.lanes)]
        groups += [sums[n:n + config.lanes] for n in range(0, len(sums), config.lanes)]
        expected += [sum_layout(config).const({"factor": factor, "last": n == rows - 1}).as_bits() | value
                   for n, value in enumerate(sums[:rows])]

    async def feed() -> None:
        for group in groups:
            await send(i, [sum(value << k * lane_sum(config).size for k, value in enumerate(group))])
            while not dut.drained.value:
                await RisingEdge(dut.clk)

    cocotb.start_soon(send(matrices, announced, stall))
    cocotb.start_soon(feed())
    assert await receive(o, len(expected), stall) == expected
