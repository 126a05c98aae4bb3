"""SeedLM lane: exact row sums, against golden, up to the bounds of every field."""

import random

import cocotb
import numpy as np

from golden import block, matvec
from golden.spec import EXP_MAX, EXP_MIN
from sim.data import lane_word, to_signed
from sim.runner import arguments
from sim.streams import Stream, receive, send, start


def _row(config, blocks, extreme):
    """Random fields of one row and its activations; ``extreme`` ones are all at a bound."""
    rng = np.random.default_rng(random.getrandbits(32))
    fmt, limit = config.fmt, (1 << (config.act_bits - 1)) - 1
    if extreme:
        coefs = np.full((1, blocks, fmt.p), fmt.coef_min)
        fields = (np.full((1, blocks), fmt.seeds), np.full((1, blocks), EXP_MAX), coefs)
        return block.CompressedMatrix(fmt, (1, blocks * fmt.c), *fields), np.full(blocks * fmt.c, extreme * limit)
    fields = (rng.integers(1, fmt.seeds + 1, (1, blocks)), rng.integers(EXP_MIN, EXP_MAX + 1, (1, blocks)),
              rng.integers(fmt.coef_min, fmt.coef_max + 1, (1, blocks, fmt.p)))
    return (block.CompressedMatrix(fmt, (1, blocks * fmt.c), *fields),
            rng.integers(-limit, limit + 1, blocks * fmt.c))


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def sums_are_exact(dut, idle):
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    payloads, wanted = [], []
    for n in range(60):
        matrix, x = _row(config, random.randint(1, 6), {0: 1, 1: -1}.get(n, 0))
        wanted += matvec.accumulate(matrix, x).tolist()
        words = matrix.packed()[0]
        for j, word in enumerate(words):
            payloads.append(lane_word(config, int(word), x[j * config.c:(j + 1) * config.c].tolist(),
                                      j == 0, j == len(words) - 1))
    cocotb.start_soon(send(i, payloads, idle))
    sums = await receive(o, len(wanted))
    assert [to_signed(bits, config.sum_bits) for bits in sums] == wanted
