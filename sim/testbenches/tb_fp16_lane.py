"""FP16 lane: exact row sums, against golden, from subnormals to the largest numbers."""

import random

import cocotb
import numpy as np

from golden import fp16
from sim.data import finite_halves, lane_word, to_signed
from sim.runner import arguments
from sim.streams import Stream, receive, send, start

RNG = np.random.default_rng(random.getrandbits(32))


async def _check(dut, config, rows, idle):
    """Send rows of weights and activations through the lane and compare the sums; returns them."""
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    payloads, wanted = [], []
    for w, x in rows:
        wanted += fp16.accumulate(w[None], x).tolist()
        bits = [array.view(np.uint16).tolist() for array in (w, x)]
        payloads += [lane_word(config, wj, [xj], j == 0, j == len(w) - 1)
                     for j, (wj, xj) in enumerate(zip(*bits, strict=True))]
    cocotb.start_soon(send(i, payloads, idle))
    sums = await receive(o, len(wanted), timeout_cycles=10 * len(payloads) + 1000)
    assert [to_signed(bits, config.sum_bits) for bits in sums] == wanted
    return wanted


def _largest(count, w_sign, x_sign):
    return np.full(count, w_sign * np.float16(65504)), np.full(count, x_sign * np.float16(65504))


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def sums_are_exact(dut, idle):
    (config,) = arguments()
    rows = [_largest(random.randint(1, 12), w_sign, x_sign) for w_sign in (1, -1) for x_sign in (1, -1)]
    for _ in range(80):
        count = random.randint(1, 12)
        rows.append((finite_halves(RNG, count), finite_halves(RNG, count)))
    await _check(dut, config, rows, idle)


@cocotb.test()
async def widest_rows_fill_the_accumulator(dut):
    (config,) = arguments()
    sums = await _check(dut, config, [_largest(config.max_cols, 1, sign) for sign in (1, -1)], 0.0)
    assert all(abs(total).bit_length() == config.sum_bits - 1 for total in sums)
