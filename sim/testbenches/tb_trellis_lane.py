"""Trellis lane: exact row sums, against golden, up to the bounds of every field."""

import random
from typing import Any

import cocotb
import numpy as np

from golden.spec import TrellisFormat
from golden.trellis.matrix import TrellisMatrix
from golden.trellis.matvec import accumulate
from hw.config import EngineConfig
from sim.bench.lanes import check_sums
from sim.device.random_operands import random_trellis_matrix
from sim.tools.run import arguments


def _row(config: EngineConfig, blocks: int) -> tuple[TrellisMatrix, np.ndarray]:
    """A random row with so many blocks of weights, and its activations."""
    rng = np.random.default_rng(random.getrandbits(32))
    fmt, limit = config.fmt, (1 << (config.act_bits - 1)) - 1
    assert isinstance(fmt, TrellisFormat)
    return random_trellis_matrix(fmt, 1, blocks * fmt.c, rng), rng.integers(-limit, limit + 1, blocks * fmt.c)


def _widest_row(config: EngineConfig, blocks: int, sign: int) -> tuple[TrellisMatrix, np.ndarray]:
    """A row of zeros, all of whose weights are the least integer, and the activations that bring its sum to a bound:
    the upper one (``sign`` 1) or the lower one (-1)."""
    fmt, limit = config.fmt, (1 << (config.act_bits - 1)) - 1
    assert isinstance(fmt, TrellisFormat)
    zeros = TrellisMatrix(fmt, np.zeros((1, blocks * fmt.c), np.uint8), np.zeros(1, np.uint16),
                          np.ones(1, np.float16))
    return zeros, np.full(blocks * fmt.c, -sign * limit)


async def _check(dut: Any, config: EngineConfig, rows: list[tuple[TrellisMatrix, np.ndarray]],
                 idle: float) -> list[int]:
    return await check_sums(dut, config, [(matrix.packed()[0], x.tolist(), *accumulate(matrix, x).tolist())
                                          for matrix, x in rows], idle)


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def sums_are_exact(dut: Any, idle: float) -> None:
    (config,) = arguments()
    rows = [_widest_row(config, random.randint(1, 6), sign) for sign in (1, -1)]
    await _check(dut, config, rows + [_row(config, random.randint(1, 6)) for _ in range(60)], idle)


@cocotb.test()
async def widest_rows_fill_the_accumulator(dut: Any) -> None:
    (config,) = arguments()
    sums = await _check(dut, config, [_widest_row(config, config.max_weight_blocks, sign) for sign in (1, -1)], 0.0)
    # The number of blocks need not be a power of two.
    assert all(abs(total).bit_length() >= config.sum_bits - 2 for total in sums)
