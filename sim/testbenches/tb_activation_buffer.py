"""Activation buffer: what went in comes out, over and over, in words of c."""

import random

import cocotb
import numpy as np

from golden.activations import to_block_floating_point
from hw.activation_buffer import raw_word
from sim.data import beats_of, finite_halves
from sim.runner import arguments
from sim.streams import Stream, cycles, receive, send, start

RNG = np.random.default_rng(random.getrandbits(32))


async def _load(dut, config, x):
    blocks = -(-len(x) // config.c)
    padded = np.pad(x, (0, blocks * config.c - len(x)))
    beats = beats_of(padded.tobytes(), config.bus_bytes)
    dut.beats.value, dut.blocks.value = len(beats), blocks
    dut.start.value = 1
    await cycles(dut, 1)
    dut.start.value = 0
    return beats, blocks


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def vectors_repeat(dut, idle, stall):
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready, dut.start)
    lengths = [1, config.c, config.max_cols, *(random.randrange(1, config.max_cols) for _ in range(4))]
    for length in lengths:
        x = finite_halves(RNG, length)
        beats, blocks = await _load(dut, config, x)
        cocotb.start_soon(send(i, beats, idle))
        o.ready.value = 0
        padded = np.pad(x.view(np.uint16), (0, blocks * config.c - length)).reshape(blocks, config.c)
        words = await receive(o, 3 * blocks, stall, more=True)
        for n, bits in enumerate(words):
            word = raw_word(config).from_bits(bits)
            assert list(word.x) == padded[n % blocks].tolist(), f"word {n} of {length} activations"
            assert (word.first, word.last) == (n % blocks == 0, n % blocks == blocks - 1)
        assert int(dut.shared.value) == to_block_floating_point(x)[1]
        assert not dut.not_finite.value


@cocotb.test()
async def infinity_and_nan_are_reported(dut):
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready, dut.start)
    for bad in (np.inf, -np.inf, np.nan):
        x = finite_halves(RNG, config.max_cols)
        x[random.randrange(len(x))] = bad
        beats, _ = await _load(dut, config, x)
        await send(i, beats)
        await cycles(dut, 3)
        assert dut.not_finite.value
