"""FP16 lane: exact row sums, against golden, from subnormals to the largest numbers."""

import random
from typing import Any

import cocotb
import numpy as np

from golden import fp16
from hw.config import EngineConfig
from sim.bench.lanes import check_sums
from sim.device.random_operands import finite_halves
from sim.tools.run import arguments

RNG = np.random.default_rng(random.getrandbits(32))


async def _check(dut: Any, config: EngineConfig, rows: list[tuple[np.ndarray, np.ndarray]],
                 idle: float) -> list[int]:
    return await check_sums(dut, config, [
        (w.view(np.uint16), x.view(np.uint16).tolist(), *fp16.accumulate(w[None], x).tolist()) for w, x in rows], idle)


def _largest(count: int, w_sign: int, x_sign: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(count, w_sign * np.float16(65504)), np.full(count, x_sign * np.float16(65504))


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def sums_are_exact(dut: Any, idle: float) -> None:
    (config,) = arguments()
    rows = [_largest(random.randint(1, 12), w_sign, x_sign) for w_sign in (1, -1) for x_sign in (1, -1)]
    for _ in range(80):
        count = random.randint(1, 12)
        rows.append((finite_halves(RNG, count), finite_halves(RNG, count)))
    await _check(dut, config, rows, idle)


@cocotb.test()
async def widest_rows_fill_the_accumulator(dut: Any) -> None:
    (config,) = arguments()
    sums = await _check(dut, config, [_largest(config.max_cols, 1, sign) for sign in (1, -1)], 0.0)
    assert all(abs(total).bit_length() == config.sum_bits - 1 for total in sums)
