"""Join: words and activations meet in order, every lane gets its block, groups wait for the drain."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.bench.lanes import lane_bits
from sim.bench.streams import Stream, cycles, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], delay=[1, 12])
async def words_meet_their_activations(dut: Any, idle: float, delay: int) -> None:
    (config,) = arguments()
    blocks, activations = Stream(dut, "blocks"), Stream(dut, "activations")
    await start(dut, blocks.valid, activations.valid, dut.drained)
    lanes = [Stream(dut, f"o__{n}") for n in range(config.lanes)]
    groups, per_group = 12, 5
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
    held = 0

    async def drain() -> None:
        """Empty a group ``delay`` cycles after its last word."""
        nonlocal held
        while True:
            await RisingEdge(dut.clk)
            if not lanes[0].valid.value:
                continue
            found.append([int(lane.payload.value) for lane in lanes])
            assert all(lane.valid.value for lane in lanes)
            if len(found) % per_group == 0:
                assert held == 0, "a group ended before the one ahead of it was drained"
                held = 1
                cocotb.start_soon(empty())

    async def empty() -> None:
        nonlocal held
        await cycles(dut, delay)
        dut.drained.value, held = 1, 0
        await cycles(dut, 1)
        dut.drained.value = 0

    cocotb.start_soon(drain())
    sender = cocotb.start_soon(send(blocks, words, idle))
    await send(activations, shared, idle)
    await sender
    await cycles(dut, 2)
    assert found == expected
