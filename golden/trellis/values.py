"""The integer that a window stands for: fields of the output of an LFSR that the window seeds, added and centred."""

from functools import lru_cache

import numpy as np

from golden.formats.trellis import LFSR_BITS, TrellisFormat
from golden.lfsr import states

__all__ = ["all_values", "output", "value"]


def output(window: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` bits that the LFSR puts out: the lowest bit of the seed, and of each state after it.

    ``window`` is an integer array of any shape ``S``, the seeds; the seed 0, which no SeedLM block has, puts out zeros.
    The result is int64, shape ``S + (count,)``.
    """
    window = np.asarray(window, dtype=np.int64)
    every = np.concatenate([window[..., None], states(window, LFSR_BITS, count - 1)], axis=-1)
    return every & 1


def value(window: np.ndarray, fmt: TrellisFormat) -> np.ndarray:
    """The integers of windows, 0 to 2**window - 1: int64, of the shape of ``window``."""
    bits = output(window, fmt.output_bits)
    total = np.zeros(bits.shape[:-1], dtype=np.int64)
    for low, width in fmt.fields:
        for n in range(width):
            total += bits[..., low + n] << n
    return total - fmt.offset


@lru_cache(maxsize=8)
def all_values(fmt: TrellisFormat) -> np.ndarray:
    """:func:`value` of every window: int64, (2**window,). It is shared, and so read-only."""
    values = value(np.arange(1 << fmt.window), fmt)
    values.flags.writeable = False
    return values
