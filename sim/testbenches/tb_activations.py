"""Activations: the vector that goes in comes out again and again, in words of c, as golden rounds it."""

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from golden.activations import to_block_floating_point
from hw.activations.buffer import exponent_latency
from hw.config import EngineConfig
from hw.payloads import activation_word, job_layout, matrix_layout
from sim.bench.lanes import ends_scale
from sim.bench.streams import Stream, beats_of, cycles, receive, send, start
from sim.device.random_operands import finite_halves
from sim.tools.run import arguments

RNG = np.random.default_rng(random.getrandbits(32))


def _job(config: EngineConfig, x: np.ndarray, rows: int, reuse: bool = False) -> tuple[
        int, list[int], list[tuple[list[int], bool, bool]], tuple[int, int]]:
    """Bits of a job, the beats of its vector, the words that are expected of it, and rows and factor of its matrix.
    Words of heads are empty."""
    blocks, heads = config.weight_blocks(len(x)), config.fmt.head_blocks
    padded = np.pad(x, (0, blocks * config.c - len(x)))
    beats = [] if reuse else beats_of(padded.tobytes(), config.bus_bytes)
    factor = random.getrandbits(8)
    job = job_layout(config).const({"beats": len(beats), "blocks": heads + blocks, "rows": rows, "factor": factor})
    elements, shared = to_block_floating_point(padded, config.act_bits)
    elements = elements if config.fmt.block_floating else padded.view(np.uint16)
    words: list[tuple[list[int], bool, bool]] = [([], False, False)] * heads
    words += [(list(row), n == blocks - 1, ends_scale(config, n, blocks))
             for n, row in enumerate(elements.reshape(blocks, config.c).tolist())]
    matrix = rows, factor + (shared if config.fmt.block_floating else 0)
    return job.as_bits(), beats, words * -(-rows // config.lanes), matrix


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def vectors_repeat_for_every_group_of_rows(dut: Any, idle: float, stall: float) -> None:
    (config,) = arguments()
    i, o, jobs, matrices = (Stream(dut, name) for name in ("i", "o", "jobs", "matrices"))
    await start(dut, i.valid, o.ready, jobs.valid, matrices.ready)
    lengths = [1, config.c, config.max_cols, *(random.randrange(1, config.max_cols) for _ in range(4)), 1, 1]
    todo = []
    for n, length in enumerate(lengths):
        x = finite_halves(RNG, length)
        rows = random.choice((1, config.lanes, config.lanes + 1, 3 * config.lanes))
        todo.append(_job(config, x, rows))
        if n % 2:
            todo.append(_job(config, x, random.randrange(1, 2 * config.lanes), reuse=True))
    job_bits, beats, words, announced = zip(*todo, strict=True)
    cocotb.start_soon(send(jobs, job_bits, idle))
    cocotb.start_soon(send(i, [beat for vector in beats for beat in vector], idle))
    received = cocotb.start_soon(receive(matrices, len(todo), stall))
    expected = [word for vector in words for word in vector]
    found = [activation_word(config).from_bits(bits) for bits in await receive(o, len(expected), stall)]
    assert [(list(word.x) if x else x, word.last, config.fmt.group_blocks > 1 and word.scale_ends)
            for word, (x, _, _) in zip(found, expected, strict=True)] == expected
    assert [(matrix.rows, matrix.factor) for matrix in
            map(matrix_layout(config).from_bits, await received)] == list(announced)


@cocotb.test()
async def infinity_and_nan_are_reported_with_their_beat(dut: Any) -> None:
    (config,) = arguments()
    i, o, jobs, matrices = (Stream(dut, name) for name in ("i", "o", "jobs", "matrices"))
    await start(dut, i.valid, o.ready, jobs.valid, matrices.ready)
    o.ready.value = matrices.ready.value = 1
    accepted: list[int] = []
    reported: list[int] = []

    async def watch() -> None:
        cycle = 0
        while True:
            await RisingEdge(dut.clk)
            cycle += 1
            if i.valid.value and i.ready.value:
                accepted.append(cycle)
            if dut.not_finite.value:
                reported.append(cycle)

    cocotb.start_soon(watch())
    for bad in (np.inf, -np.inf, np.nan):
        x = finite_halves(RNG, config.max_cols)
        place = random.randrange(len(x))
        x[place] = bad
        padded = np.pad(x, (0, -len(x) % config.c))
        beats = beats_of(padded.tobytes(), config.bus_bytes)
        job = job_layout(config).const({"beats": len(beats), "blocks": config.blocks(len(x)), "rows": 1})
        accepted.clear()
        reported.clear()
        cocotb.start_soon(send(jobs, [job.as_bits()]))
        await send(i, beats)
        await cycles(dut, len(padded) // config.c + 8)
        assert reported == [accepted[place // config.beat_activations] + exponent_latency(config)]
