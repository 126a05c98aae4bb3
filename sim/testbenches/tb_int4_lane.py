"""Int4 lane: exact row sums, against golden, from scales of 0 and subnormals to every value at its bound."""

import random
from typing import Any

import cocotb
import numpy as np

from golden import int4
from golden.spec import GroupFormat
from hw.config import EngineConfig
from sim.bench.lanes import check_sums
from sim.device.random_operands import random_group_matrix
from sim.tools.run import arguments

RNG = np.random.default_rng(random.getrandbits(32))


def _row(config: EngineConfig, groups: int, kind: tuple[int, int] | None) -> tuple[int4.GroupMatrix, np.ndarray]:
    """One row and its activations. They are random when ``kind`` is None. Otherwise ``kind`` is the sign of the
    activations, all of them at their bound, and the bits of the scale of all codes, which are at their bound too."""
    fmt, limit = config.fmt, (1 << (config.act_bits - 1)) - 1
    assert isinstance(fmt, GroupFormat)
    cols = groups * fmt.group
    x = RNG.integers(-limit, limit + 1, cols)
    if kind is None:
        return random_group_matrix(fmt, 1, cols, RNG), x
    sign, scale = kind
    codes = np.full((1, cols), fmt.code_min, np.int8)
    return int4.GroupMatrix(fmt, codes, np.full((1, groups), scale, np.uint16).view(np.float16)), 0 * x + sign * limit


async def _check(dut: Any, config: EngineConfig, rows: list[tuple[int4.GroupMatrix, np.ndarray]],
                 idle: float) -> list[int]:
    return await check_sums(dut, config, [(matrix.packed()[0], x.tolist(), *int4.accumulate(matrix, x).tolist())
                                          for matrix, x in rows], idle)


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def sums_are_exact(dut: Any, idle: float) -> None:
    (config,) = arguments()
    bounds = [(sign, scale) for scale in (0x7BFF, 0x7800, 0x0400, 0x03FF, 0x0001, 0) for sign in (1, -1)]
    await _check(dut, config, [_row(config, random.randint(1, 2), kind) for kind in bounds + [None] * 30], idle)


@cocotb.test()
async def widest_rows_fill_the_accumulator(dut: Any) -> None:
    (config,) = arguments()
    groups = config.max_blocks // config.fmt.group_blocks
    sums = await _check(dut, config, [_row(config, groups, (sign, 0x7BFF)) for sign in (1, -1)], 0.0)
    assert all(abs(total).bit_length() >= config.sum_bits - 2 for total in sums)
