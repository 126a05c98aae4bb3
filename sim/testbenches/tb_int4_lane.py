"""Int4 lane: exact row sums, against golden, from scales of 0 and subnormals to every value at its bound."""

import random

import cocotb
import numpy as np

from golden import int4
from sim.data import lane_word, to_signed
from sim.random_matrix import random_group_matrix
from sim.runner import arguments
from sim.streams import Stream, receive, send, start

RNG = np.random.default_rng(random.getrandbits(32))


def _row(config, groups, kind):
    """One row and its activations: random, or every code and activation at a bound under one scale."""
    fmt, cols, limit = config.fmt, groups * config.fmt.group, (1 << (config.act_bits - 1)) - 1
    x = RNG.integers(-limit, limit + 1, cols)
    if kind is None:
        return random_group_matrix(fmt, 1, cols, RNG), x
    sign, scale = kind
    codes = np.full((1, cols), fmt.code_min, np.int8)
    return int4.GroupMatrix(fmt, codes, np.full((1, groups), scale, np.uint16).view(np.float16)), 0 * x + sign * limit


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def sums_are_exact(dut, idle):
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    payloads, wanted = [], []
    bounds = [(sign, scale) for scale in (0x7BFF, 0x7800, 0x0400, 0x03FF, 0x0001, 0) for sign in (1, -1)]
    for kind in bounds + [None] * 30:
        matrix, x = _row(config, random.randint(1, config.max_blocks // config.group_blocks), kind)
        wanted += int4.accumulate(matrix, x).tolist()
        words = matrix.packed()[0]
        for j, word in enumerate(words):
            payloads.append(lane_word(config, int(word), x[j * config.c:(j + 1) * config.c].tolist(),
                                      j == 0, j == len(words) - 1))
    cocotb.start_soon(send(i, payloads, idle))
    sums = await receive(o, len(wanted))
    assert [to_signed(bits, config.sum_bits) for bits in sums] == wanted
