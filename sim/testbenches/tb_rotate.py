"""Rotate: blocks of activations as sums, against golden, and words that pass between them."""

import random
from typing import Any

import cocotb
import numpy as np

from golden.rotation import rotated_inputs, signs
from hw.activations.rotate import rotate_latency, rotate_words
from hw.payloads import activation_word, aligned_word
from sim.bench.streams import Stream, cycles, receive, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def sums_are_golden(dut: Any, idle: float) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    rng = np.random.default_rng(random.getrandbits(32))
    words, limit = rotate_words(config), (1 << config.act_bits - 1) - 1

    async def check(rotated: bool, count: int) -> None:
        """Send so many words at once, and compare what comes of them."""
        x = rng.integers(-limit, limit + 1, count * config.c)
        x[:config.c] = limit  # sums at their bounds, where all of a block are
        x[:64 if rotated else 0] *= rng.choice([-1, 1])
        last = [n % 5 == 4 for n in range(count)]
        payloads = [aligned_word(config).const({"x": row.tolist(), "last": end, "rotated": rotated}).as_bits()
                    for row, end in zip(x.reshape(-1, config.c), last, strict=True)]
        # H S (S x) is H x.
        wanted = (rotated_inputs(x * signs(len(x))) if rotated else x).reshape(-1, config.c).tolist()
        cocotb.start_soon(send(i, payloads, idle))
        found = [activation_word(config).from_bits(bits) for bits in await receive(o, count)]
        assert [(list(word.x), word.last) for word in found] == list(zip(wanted, last, strict=True))

    for rotated, count in ((True, 3 * words), (False, 1), (True, words), (False, 7), (True, 20 * words), (False, 30)):
        await check(rotated, count)


@cocotb.test()
async def a_block_leaves_without_another(dut: Any) -> None:
    """As fast as the latency says, and a word a cycle."""
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    words = rotate_words(config)
    payload = aligned_word(config).const({"x": [1] * config.c, "rotated": 1}).as_bits()
    cocotb.start_soon(send(i, [payload] * words))
    await cycles(dut, words + rotate_latency(config) - 2)  # the last word is taken in cycle ``words``
    seen = []
    for _ in range(words + 2):
        await cycles(dut, 1)
        seen.append(bool(o.valid.value))
    assert seen == [False] + [True] * words + [False]
