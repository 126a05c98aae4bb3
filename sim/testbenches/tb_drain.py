"""Drain: sums leave in row order, padding rows are dropped."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from sim.runner import arguments
from sim.streams import Stream, cycles, receive, send, start


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def rows_in_order(dut, stall):
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready, dut.start)
    for rows in (1, config.lanes, 3 * config.lanes - 1, 5 * config.lanes + 1):
        dut.rows.value = rows
        dut.start.value = 1
        await cycles(dut, 1)
        dut.start.value = 0
        groups = -(-rows // config.lanes)
        sums = [random.getrandbits(config.sum_bits) for _ in range(groups * config.lanes)]

        async def feed(sums=sums):
            for n in range(0, len(sums), config.lanes):
                group = sums[n:n + config.lanes]
                await send(i, [sum(value << k * config.sum_bits for k, value in enumerate(group))])
                while not dut.empty.value:
                    await RisingEdge(dut.clk)

        feeder = cocotb.start_soon(feed())
        found = await receive(o, rows, stall)
        await feeder
        assert found == [value | (n == rows - 1) << config.sum_bits for n, value in enumerate(sums[:rows])]
