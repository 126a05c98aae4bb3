"""Mirror: the signs of the columns, against golden."""

import random
from typing import Any

import cocotb
import numpy as np

from golden.rotation import signs
from hw.payloads import raw_word
from sim.bench.streams import Stream, receive, send, start
from sim.tools.run import arguments


@cocotb.test()
async def signs_are_golden(dut: Any) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    rng = np.random.default_rng(random.getrandbits(32))
    payloads, wanted = [], []
    for rotated in (True, False, True, True):
        x = rng.integers(0, 1 << 16, 40 * config.c)
        flipped = x ^ (0x8000 * (signs(len(x)) < 0) if rotated else 0)
        for n, (row, then) in enumerate(zip(*(each.reshape(-1, config.c).tolist() for each in (x, flipped)),
                                            strict=True)):
            rest = {"last": n == 39, "shared": n % 31, "rotated": rotated}
            payloads.append(raw_word(config).const({"x": row, **rest}).as_bits())
            wanted.append(raw_word(config).const({"x": then, **rest}).as_bits())
    cocotb.start_soon(send(i, payloads, 0.3))
    assert await receive(o, len(payloads)) == wanted
