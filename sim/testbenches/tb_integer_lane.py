"""Int4 lane: exact row sums, against golden, from scales of 0 and subnormals to every value at its bound."""

import random
from typing import Any

import cocotb
import numpy as np

from golden import integers
from golden.spec import GroupFormat
from hw.config import EngineConfig
from sim.bench.lanes import check_sums
from sim.device.random_operands import random_group_matrix
from sim.tools.run import arguments

RNG = np.random.default_rng(random.getrandbits(32))


def _row(config: EngineConfig, blocks: int, kind: tuple[int, int] | None) -> tuple[integers.GroupMatrix, np.ndarray]:
    """A row of so many blocks and its activations. They are random when ``kind`` is None. Otherwise ``kind`` is the
    sign of the activations, all of them at their bound, and the bits of the scale of all codes, which are at their
    bound too."""
    fmt, limit = config.fmt, (1 << (config.act_bits - 1)) - 1
    assert isinstance(fmt, GroupFormat)
    cols = blocks * fmt.c
    x = RNG.integers(-limit, limit + 1, cols)
    if kind is None:
        return random_group_matrix(fmt, 1, cols, RNG), x
    sign, scale = kind
    codes, scales = np.full((1, cols), fmt.code_min, np.int8), np.full((1, fmt.groups(cols)), scale, np.uint16)
    return integers.GroupMatrix(fmt, codes, scales.view(np.float16)), np.full(cols, sign * limit)


async def _check(dut: Any, config: EngineConfig, rows: list[tuple[integers.GroupMatrix, np.ndarray]],
                 idle: float) -> list[int]:
    return await check_sums(dut, config, [(matrix.packed()[0], x.tolist(), *integers.accumulate(matrix, x).tolist())
                                          for matrix, x in rows], idle)


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def sums_are_exact(dut: Any, idle: float) -> None:
    (config,) = arguments()
    least = config.fmt.group_blocks
    bounds = [(sign, scale | negative) for scale in (0x7BFF, 0x7800, 0x0400, 0x03FF, 0x0001, 0)
              for negative in (0, 0x8000) for sign in (1, -1)]
    await _check(dut, config, [_row(config, blocks, kind) for kind in bounds
                               for blocks in (least, 2 * least - 1)], idle)
    await _check(dut, config, [_row(config, random.randint(least, config.max_blocks), None) for _ in range(30)], idle)


@cocotb.test()
async def widest_rows_fill_the_accumulator(dut: Any) -> None:
    (config,) = arguments()
    sums = await _check(dut, config, [_row(config, config.max_blocks, (sign, 0x7BFF)) for sign in (1, -1)], 0.0)
    assert all(abs(total).bit_length() >= config.sum_bits - 2 for total in sums)
