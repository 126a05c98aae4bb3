"""Wide drain: sums leave side by side in row order with the factor of their matrix, padding rows are dropped."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.config import EngineConfig
from hw.payloads import lane_sum, matrix_layout, sum_layout
from hw.rounding.wide_drain import wide_drain_latency
from sim.bench.streams import Stream, cycles, start
from sim.tools.run import arguments


class Outputs:
    """What leaves the drain: ``sums`` in the order of the rows, and in ``times`` the cycles in which some do."""

    def __init__(self, dut: Any, config: EngineConfig) -> None:
        self.sums: list[int] = []
        self.times: list[int] = []
        self._dut, self._streams = dut, [Stream(dut, f"o__{n}") for n in range(config.results_per_cycle)]
        self._layout = sum_layout(config)

    async def watch(self) -> None:
        """Look at every cycle from now on, the first of which is number 1."""
        now = 0
        while True:
            await RisingEdge(self._dut.clk)
            now += 1
            offered = [bool(stream.valid.value) for stream in self._streams]
            assert sorted(offered, reverse=True) == offered, "a sum leaves beside a gap"
            found = [int(stream.payload.value) for stream in self._streams[:sum(offered)]]
            assert all(offered) or not found or self._layout.from_bits(found[-1]).last, "sums are missing"
            self.sums += found
            self.times += [now] * bool(found)


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], ahead=[1, 20])
async def rows_in_order(dut: Any, idle: float, ahead: int) -> None:
    """Of groups that follow each other as fast as they may, or later. A matrix is on offer ``ahead`` cycles before its
    sums, or as soon as the one before it has been accepted."""
    (config,) = arguments()
    i, matrices = Stream(dut, "i"), Stream(dut, "matrices")
    await start(dut, i.valid, matrices.valid)
    outputs = Outputs(dut, config)
    cocotb.start_soon(outputs.watch())
    arrivals: list[tuple[int, int]] = []  # cycles and payloads of the groups
    offers: list[tuple[int, int]] = []  # cycles from which matrices are on offer, and their payloads
    expected, times, now = [], [], ahead + 1
    for rows in (1, config.lanes, 1, 3 * config.lanes - 1, 5 * config.lanes + 1, 2, 1, 1, 2 * config.lanes):
        factor = random.getrandbits(9)
        offers.append((now - ahead, matrix_layout(config).const({"rows": rows, "factor": factor}).as_bits()))
        for first in range(0, rows, config.lanes):
            sums = [random.getrandbits(lane_sum(config).size) for _ in range(config.lanes)]
            arrivals.append((now, sum(value << k * lane_sum(config).size for k, value in enumerate(sums))))
            count = min(rows - first, config.lanes)
            expected += [sum_layout(config).const({"factor": factor, "last": first + n == rows - 1}).as_bits() | value
                         for n, value in enumerate(sums[:count])]
            times += [now + n + wide_drain_latency(config) for n in range(-(-count // config.results_per_cycle))]
            now += config.drain_cycles
            while random.random() < idle:
                now += 1
    offered = 0
    for cycle in range(now + 10):
        # Driven now, a signal is first seen at the edge of the next cycle's number.
        i.valid.value = bool(arrivals) and arrivals[0][0] == cycle + 1
        if arrivals and arrivals[0][0] == cycle + 1:
            i.payload.value = arrivals.pop(0)[1]
        if not offered and offers and offers[0][0] <= cycle + 1:
            matrices.payload.value, offered = offers.pop(0)[1], 1
        matrices.valid.value = offered
        await RisingEdge(dut.clk)
        offered &= not matrices.ready.value
    assert not offers
    await cycles(dut, 3)
    assert outputs.sums == expected
    assert outputs.times == times
