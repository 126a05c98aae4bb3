"""Join: words and activations meet in order, every lane gets its block, groups wait for the drain or for each other."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.config import EngineConfig
from hw.lanes.join import RETURN_LATENCY, join_interval, join_latency
from sim.bench.lanes import lane_bits
from sim.bench.streams import Stream, cycles, send, start
from sim.tools.run import arguments


def _arguments() -> tuple[EngineConfig, int, int]:
    """The configuration, the groups that may be outstanding, and the cycles between their ends at least."""
    config, groups = (*arguments(), 1)[:2]
    return config, groups, join_interval(config) if config.results_per_cycle > 1 else 1


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], delay=[1, 12], per_group=[1, 5])
async def words_meet_their_activations(dut: Any, idle: float, delay: int, per_group: int) -> None:
    config, groups_outstanding, interval = _arguments()
    blocks, activations = Stream(dut, "blocks"), Stream(dut, "activations")
    await start(dut, blocks.valid, activations.valid, dut.drained)
    lanes = [Stream(dut, f"o__{n}") for n in range(config.lanes)]
    groups = 12
    words: list[int] = []
    shared: list[int] = []
    expected: list[list[int]] = []
    for n in range(groups * per_group):
        word = [random.getrandbits(config.block_bits) for _ in range(config.lanes)]
        x = [random.randrange(-100, 100) for _ in range(config.c)]
        last = n % per_group == per_group - 1
        words.append(sum(block << k * config.block_bits for k, block in enumerate(word)))
        shared.append(lane_bits(config, 0, x, last) >> config.block_bits)
        expected.append([lane_bits(config, block, x, last) for block in word])
    found: list[list[int]] = []
    held, ended = 0, -interval

    async def drain() -> None:
        """Empty a group ``delay`` cycles after its last word."""
        nonlocal held, ended
        now = 0
        while True:
            await RisingEdge(dut.clk)
            now += 1
            if not lanes[0].valid.value:
                continue
            found.append([int(lane.payload.value) for lane in lanes])
            assert all(lane.valid.value for lane in lanes)
            if len(found) % per_group == 0:
                assert held < groups_outstanding, "a group ended without room for it"
                assert now - ended >= interval, "a group ended too soon after the one before it"
                held, ended = held + 1, now
                cocotb.start_soon(empty())

    async def empty() -> None:
        nonlocal held
        await cycles(dut, delay)
        dut.drained.value, held = 1, held - 1
        await cycles(dut, 1)
        dut.drained.value = 0

    cocotb.start_soon(drain())
    sender = cocotb.start_soon(send(blocks, words, idle))
    await send(activations, shared, idle)
    await sender
    await cycles(dut, 2)
    assert found == expected


@cocotb.test()
async def groups_end_as_often_as_published(dut: Any) -> None:
    """Where there is more than one result a cycle: as long as there is room, which returns as late as published."""
    config, groups, interval = _arguments()
    if config.results_per_cycle == 1:
        return
    blocks, activations = Stream(dut, "blocks"), Stream(dut, "activations")
    await start(dut, blocks.valid, activations.valid, dut.drained)
    lane = Stream(dut, "o__0")
    ends = lane_bits(config, 0, [0] * config.c, True) >> config.block_bits
    cocotb.start_soon(send(blocks, [0] * (groups + 1)))
    cocotb.start_soon(send(activations, [ends] * (groups + 1)))
    for group in range(groups):
        for cycle in range(1, (interval if group else 1 + join_latency(config)) + 1):
            await RisingEdge(dut.clk)
            assert bool(lane.valid.value) == (cycle == (interval if group else 1 + join_latency(config)))
    for _ in range(3 * interval):
        await RisingEdge(dut.clk)
        assert not lane.valid.value
    dut.drained.value = 1
    await RisingEdge(dut.clk)
    dut.drained.value = 0
    for cycle in range(1, RETURN_LATENCY + join_latency(config) + 1):
        await RisingEdge(dut.clk)
        assert bool(lane.valid.value) == (cycle == RETURN_LATENCY + join_latency(config))
