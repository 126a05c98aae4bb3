"""Scale: the multiplication by the constant factor and by the scales of rows, against golden, up to saturation."""

import random
from typing import Any

import cocotb
import numpy as np

from golden import product
from golden.float32 import scaled
from hw.payloads import float_layout, result_layout
from sim.bench.results import random_scales
from sim.bench.streams import Stream, receive, send, start
from sim.tools.run import arguments


def _sum(width: int) -> int:
    """A random sum of at most ``width`` bits whose significand fits 24."""
    return random.choice((-1, 1)) * random.getrandbits(24) << random.randrange(width - 25)


def _parts(value: int) -> dict[str, int]:
    """Fields of a float_layout for an integer of at most 24 significant bits."""
    up = 24 - abs(value).bit_length()
    significand = abs(value) << up if up >= 0 else abs(value) >> -up
    return {"sign": value < 0, "significand": significand, "exponent": -up if value else 0}


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def products_are_rounded_as_golden_does(dut: Any, idle: float, stall: float) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    mantissa, _ = np.frexp(product.factor(config.fmt))
    saturated: set[float] = set()
    for centre in (-125, -90, -40, 0, 40, 90, 128):
        for _ in range(4):
            factor = np.ldexp(np.float32(mantissa), centre)
            shared = random.randrange(31)
            exponent = (int(factor.view(np.uint32)) >> 23) + shared
            # Odd multiples of 2**14 make ties when they meet 1 + 2**-15; and the greatest significand carries out.
            ties = [(1 << 23) + ((2 * random.getrandbits(8) + 1) << 14) for _ in range(8)]
            sums = [0, 1, -1, (1 << 24) - 1, (1 << 23) + 1, *ties, *(_sum(config.sum_bits) for _ in range(30))]
            scales, beside = random_scales(config, len(sums))
            payloads = [float_layout(config).const({**_parts(value), **beside[n], "factor": exponent,
                                                    "last": n % 3 == 0}).as_bits()
                        for n, value in enumerate(sums)]
            cocotb.start_soon(send(i, payloads, idle))
            found = [result_layout().from_bits(bits) for bits in await receive(o, len(sums), stall)]
            expected = scaled(sums, factor, shared, scales)
            assert [result.result for result in found] == expected.view(np.uint32).tolist()
            assert [result.last for result in found] == [n % 3 == 0 for n in range(len(sums))]
            saturated |= set(expected[np.abs(expected) == np.finfo(np.float32).max].tolist())
    assert len(saturated) == 2, "no result was large enough to saturate, in both directions"
