"""Align: FP16 to block floating point, against golden."""

import random
from typing import Any

import cocotb
import numpy as np

from golden.activations import to_block_floating_point
from hw.payloads import activation_word, raw_word
from sim.bench.streams import Stream, receive, send, start
from sim.device.random_operands import finite_halves
from sim.tools.run import arguments

RNG = np.random.default_rng(random.getrandbits(32))


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def elements_are_rounded_as_golden_does(dut: Any, idle: float, stall: float) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    payloads: list[int] = []
    expected: list[tuple[list[int], bool]] = []
    for limit in (2.0**-20, 1.0, 65504.0, 2.0**-12):  # vectors follow each other without a pause
        x = finite_halves(RNG, 60 * config.c).clip(-limit, limit).astype(np.float16)
        elements, shared = to_block_floating_point(x, config.act_bits)
        rows = x.view(np.uint16).reshape(-1, config.c)
        payloads += [raw_word(config).const({"x": row.tolist(), "last": n % 5 == 0, "shared": shared}).as_bits()
                     for n, row in enumerate(rows)]
        expected += [(row, n % 5 == 0) for n, row in enumerate(elements.reshape(rows.shape).tolist())]
    cocotb.start_soon(send(i, payloads, idle))
    found = [activation_word(config).from_bits(bits) for bits in await receive(o, len(payloads), stall)]
    assert [(list(word.x), word.last) for word in found] == expected
