"""Results as streams between the rooms carry them, and the scales of their rows, for testbenches."""

from collections.abc import Sequence

import numpy as np

from hw.config import EngineConfig
from hw.payloads import results_layout, row_scale
from sim.bench.rows import random_scale

__all__ = ["packed", "random_scales", "unpacked"]


def random_scales(config: EngineConfig, count: int) -> tuple[np.ndarray | None, list[dict[str, int]]]:
    """Scales of so many rows, float16, (count,), and the fields of :func:`~hw.payloads.row_scale` for each row; None
    and no fields where rows have no scales."""
    if not row_scale(config):
        return None, [{} for _ in range(count)]
    scales = [random_scale() for _ in range(count)]
    return np.array(scales, np.uint16).view(np.float16), [{"scale": bits} for bits in scales]


def packed(config: EngineConfig, results: Sequence[int], last: bool = True) -> list[int]:
    """Payloads of :func:`~hw.payloads.results_layout` with the bits of ``results``. The last one of them is the last of
    its matrix, if ``last`` is set."""
    count, layout = config.results_per_cycle, results_layout(config)
    payloads: list[int] = []
    for first in range(0, len(results), count):
        some, ends = results[first:first + count], last and first + count >= len(results)
        if count == 1:
            payloads.append(layout.const({"result": some[0], "last": ends}).as_bits())
        else:
            payloads.append(layout.const({"results": [*some, *[0] * (count - len(some))],
                                          "valid": (1 << len(some)) - 1, "last": ends}).as_bits())
    return payloads


def unpacked(config: EngineConfig, payload: int) -> tuple[list[int], bool]:
    """The bits of the results in a payload, and whether the last of the matrix is among them."""
    fields = results_layout(config).from_bits(payload)
    if config.results_per_cycle == 1:
        return [fields.result], bool(fields.last)
    count = fields.valid.bit_count()
    assert fields.valid == (1 << count) - 1, "a result lies behind a gap"
    return [fields.results[n] for n in range(count)], bool(fields.last)
