"""FP16 lane: exact row sums, against golden, from subnormals to the largest numbers."""

import random

import cocotb
import numpy as np

from golden import fp16
from sim.data import finite_halves, lane_word, to_signed
from sim.runner import arguments
from sim.streams import Stream, receive, send, start

RNG = np.random.default_rng(random.getrandbits(32))


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def sums_are_exact(dut, idle):
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    payloads, wanted = [], []
    for n in range(80):
        count = random.randint(1, 12)
        w, x = finite_halves(RNG, count), finite_halves(RNG, count)
        if n < 4:
            w[:], x[:] = (-1)**n * np.float16(65504), (-1)**(n // 2) * np.float16(65504)
        wanted += fp16.accumulate(w[None], x).tolist()
        bits = [array.view(np.uint16).tolist() for array in (w, x)]
        payloads += [lane_word(config, wj, [xj], j == 0, j == count - 1)
                     for j, (wj, xj) in enumerate(zip(*bits, strict=True))]
    cocotb.start_soon(send(i, payloads, idle))
    sums = await receive(o, len(wanted))
    assert [to_signed(bits, config.sum_bits) for bits in sums] == wanted
