"""SeedLM lane: exact row sums, against golden, up to the bounds of every field."""

import random
from typing import Any

import cocotb
import numpy as np

from golden import block, matvec
from golden.projection import centred
from golden.spec import BlockFormat
from hw.config import EngineConfig
from sim.bench.lanes import check_sums
from sim.device.random_operands import random_matrix
from sim.tools.run import arguments


def _row(config: EngineConfig, blocks: int) -> tuple[block.CompressedMatrix, np.ndarray]:
    """Random fields of one row and its activations."""
    rng = np.random.default_rng(random.getrandbits(32))
    fmt, limit = config.fmt, (1 << (config.act_bits - 1)) - 1
    assert isinstance(fmt, BlockFormat)
    return random_matrix(fmt, 1, blocks * fmt.c, rng), rng.integers(-limit, limit + 1, blocks * fmt.c)


def _widest_row(config: EngineConfig, blocks: int, sign: int) -> tuple[block.CompressedMatrix, np.ndarray]:
    """The row of greatest sum (``sign`` 1) or of least (-1), and its activations: every field is at its bound, the seed
    is the one of the largest numerators, and activations have the signs of the numerators."""
    fmt, limit = config.fmt, (1 << (config.act_bits - 1)) - 1
    assert isinstance(fmt, BlockFormat)
    seeds = np.arange(1, min(fmt.seeds, 1 << 16) + 1)
    best = seeds[np.abs(centred(seeds, fmt).sum(axis=-1)).sum(axis=-1).argmax()]
    matrix = block.CompressedMatrix(
        fmt, (1, blocks * fmt.c), np.full((1, blocks), best), np.full((1, blocks), fmt.exp_max),
        np.full((1, blocks, fmt.p), fmt.coef_min), scales=np.full(1, -sign, np.float16) if fmt.head_blocks else None)
    return matrix, sign * limit * np.sign(matrix.numerators().reshape(-1))


async def _check(dut: Any, config: EngineConfig, rows: list[tuple[block.CompressedMatrix, np.ndarray]],
                 idle: float) -> list[int]:
    return await check_sums(dut, config, [(matrix.packed()[0], x.tolist(), *matvec.accumulate(matrix, x).tolist())
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
    # No seed has all its states at the bound that the width allows for.
    assert all(abs(total).bit_length() >= config.sum_bits - 3 for total in sums)
