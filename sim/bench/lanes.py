"""What the testbenches of lanes share: rows sent through a lane, and its sums compared with golden's."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import cocotb
import numpy as np

from golden.spec import HEAD_FIELDS
from hw.config import EngineConfig
from hw.payloads import lane_sum, lane_word
from sim.bench.streams import Stream, receive, send, start

__all__ = ["check_sums", "ends_scale", "lane_bits"]


def ends_scale(config: EngineConfig, number: int, blocks: int) -> bool:
    """Whether the scale of block ``number`` of a row of ``blocks`` ends with it; never where blocks share no scale."""
    together = config.fmt.group_blocks
    if together == 1:
        return False
    starts = range(0, blocks - together + 1, together)
    return number + 1 in (*starts[1:], blocks)


def lane_bits(config: EngineConfig, block: int, x: Sequence[int], last: bool, scale_ends: bool = False) -> int:
    """Bits of the input word of a lane: a block, its ``config.c`` activations, and whether its row and its scale end
    here."""
    ends = {"last": last, "scale_ends": scale_ends} if config.fmt.group_blocks > 1 else {"last": last}
    return lane_word(config).const({"block": block, "activations": {"x": x, **ends}}).as_bits()


async def check_sums(dut: Any, config: EngineConfig,
                     rows: Iterable[tuple[Sequence[int] | np.ndarray, Sequence[int], int]], idle: float) -> list[int]:
    """Send rows through a lane, idle with probability ``idle``, and compare the sums and the scales of the rows.

    Parameters
    ----------
    dut : handle
        The lane.
    rows : iterable of (blocks, x, sum)
        Of each row its blocks (integers, the head before the others), its activations (integers, ``config.c`` for each
        block but the head, beside which random ones are sent) and its exact sum.

    Returns
    -------
    list of int
        The sums.
    """
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    payloads: list[int] = []
    expected, layout, heads = [], lane_sum(config), config.fmt.head_blocks
    low, width = HEAD_FIELDS["scale"]
    for blocks, weighed, total in rows:
        scale = {"scale": int(blocks[0]) >> low & (1 << width) - 1} if heads else {}
        expected.append(layout.const({"sum": total, **scale}).as_bits())
        x = [*(random.randrange(-100, 100) for _ in range(heads * config.c)), *weighed]
        payloads += [lane_bits(config, int(block), x[j * config.c:(j + 1) * config.c], j == len(blocks) - 1,
                               ends_scale(config, j, len(blocks)))
                     for j, block in enumerate(blocks)]
    cocotb.start_soon(send(i, payloads, idle))
    assert await receive(o, len(expected), timeout_cycles=10 * len(payloads) + 1000) == expected
    return [layout.from_bits(bits).sum for bits in expected]
