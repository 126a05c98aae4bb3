"""Error feedback itself, whatever the code: block columns are encoded one after another, each with a target that makes
up for the errors before it (:mod:`host.feedback.factor`)."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from host.feedback.factor import Factor

__all__ = ["BlockCode", "feed_back"]


class BlockCode(Protocol):
    """What encodes rows, one block column after another, and keeps their codes."""

    def encode(self, step: int, target: np.ndarray) -> np.ndarray:
        """Encode the block column of a step, float64, (rows, width), and return what its codes stand for, of the same
        shape."""
        ...


def feed_back(weights: np.ndarray, factor: Factor, code: BlockCode,
              progress: Callable[[int, int], None] | None = None) -> None:
    """Encode rows with error feedback.

    Parameters
    ----------
    weights : float64 array, (rows, block columns * width)
        As :meth:`host.feedback.factor.Factor.arranged` has them.
    progress : callable, optional
        Called with (blocks done, blocks in all).
    """
    errors, steps = np.zeros_like(weights), factor.block_columns
    for step in range(steps):
        own = slice(step * factor.width, (step + 1) * factor.width)
        target = weights[:, own] + factor.carried(errors[:, :own.start], step)
        errors[:, own] = weights[:, own] - code.encode(step, target)
        if progress:
            progress((step + 1) * len(weights), steps * len(weights))
