"""Rounding: the results of groups that follow each other as fast as the join lets them are golden's, and none is lost
while they are not taken.
"""

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from golden import product
from golden.float32 import scaled
from hw.payloads import lane_sum, matrix_layout
from sim.bench.results import random_scales, unpacked
from sim.bench.streams import Stream, cycles, receive, send, start
from sim.tools.run import arguments


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5, 0.9])
async def results_are_goldens(dut: Any, stall: float) -> None:
    config, groups = arguments()
    i, o, matrices = Stream(dut, "i"), Stream(dut, "o"), Stream(dut, "matrices")
    await start(dut, i.valid, o.ready, matrices.valid)
    factor = product.factor(config.fmt)
    exponent = int(factor.view(np.uint32)) >> 23
    layout, lanes, outstanding, returned = lane_sum(config), config.lanes, 0, 0
    sizes = [1, lanes, 1, 3 * lanes - 1, 7 * lanes + 1, 2, 1, 1, 2 * lanes] * 3
    sums = [[random.getrandbits(config.sum_bits) - (1 << config.sum_bits - 1) for _ in range(rows)] for rows in sizes]
    scales = [random_scales(config, rows) for rows in sizes]

    async def count_room() -> None:
        nonlocal outstanding, returned
        while True:
            await RisingEdge(dut.clk)
            outstanding -= int(dut.drained.value)
            returned += int(dut.drained.value)

    async def feed() -> None:
        nonlocal outstanding
        for rows, values, (_, beside) in zip(sizes, sums, scales, strict=True):
            offer = matrix_layout(config).const({"rows": rows, "factor": exponent}).as_bits()
            cocotb.start_soon(send(matrices, [offer]))
            await cycles(dut, 1)
            for first in range(0, rows, lanes):
                while outstanding == groups:
                    await RisingEdge(dut.clk)
                outstanding += 1
                group = [layout.const({"sum": value, **scale}).as_bits()
                         for value, scale in zip(values[first:first + lanes], beside[first:], strict=False)]
                i.valid.value = 1
                i.payload.value = sum(row << k * layout.size for k, row in enumerate(group))
                await cycles(dut, 1)
                i.valid.value = 0
                await cycles(dut, config.drain_cycles - 1)

    cocotb.start_soon(count_room())
    cocotb.start_soon(feed())
    per_cycle = config.results_per_cycle
    payloads = await receive(o, sum(-(-rows // per_cycle) for rows in sizes), stall)
    found = [unpacked(config, payload) for payload in payloads]
    expected = [scaled(values, factor, 0, of_rows).view(np.uint32).tolist()
                for values, (of_rows, _) in zip(sums, scales, strict=True)]
    assert [bits for some, _ in found for bits in some] == [bits for results in expected for bits in results]
    ends = np.cumsum([len(some) for some, _ in found])
    assert [int(end) for end, (_, last) in zip(ends, found, strict=True) if last] == np.cumsum(sizes).tolist()
    assert outstanding == 0
    assert returned == sum(-(-rows // lanes) for rows in sizes)
