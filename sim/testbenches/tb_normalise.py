"""Normalise: rounding of exact sums, against golden."""

import random
from typing import Any

import cocotb

from golden.float32 import round_to_24_bits
from hw.payloads import float_layout, sum_layout
from sim.bench.results import random_scales
from sim.bench.streams import Stream, receive, send, start
from sim.tools.run import arguments


def _sums(width: int) -> list[int]:
    """Zero, the bounds, ties and near-ties at every position, and random numbers of every length."""
    top = 1 << (width - 1)
    sums = [0, 1, -1, top - 1, -top]
    for bits in range(25, width):
        tie = random.getrandbits(24) << (bits - 24) | 1 << (bits - 1) | 1 << (bits - 25)
        sums += [tie, -tie, tie | 1, tie - 1, (1 << bits) - 1]
    sums += [random.getrandbits(bits) * random.choice((-1, 1)) for bits in range(1, width) for _ in range(3)]
    return [value for value in sums if -top <= value < top]


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def sums_are_rounded_as_golden_does(dut: Any, idle: float, stall: float) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    sums = _sums(config.sum_bits)
    _, scales = random_scales(config, len(sums))
    beside = [{"factor": n % 509, "last": n % 7 == 0, **scale} for n, scale in enumerate(scales)]
    payloads = [sum_layout(config).const({"sum": value, **rest}).as_bits()
                for value, rest in zip(sums, beside, strict=True)]
    cocotb.start_soon(send(i, payloads, idle))
    for value, rest, bits in zip(sums, beside, await receive(o, len(sums), stall), strict=True):
        found = float_layout(config).from_bits(bits)
        assert value == 0 or found.significand >> 23 == 1
        assert (-1)**found.sign * found.significand * 2.0**found.exponent == round_to_24_bits(value), value
        assert {name: found[name] for name in rest} == rest
