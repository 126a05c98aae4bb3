"""The scores of a model's predictions with a variant's weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from host.checkpoint.checkpoint import Checkpoint
from host.errors import UserError
from host.model.llama import Llama
from host.perplexity.passes import Passed, passed
from host.perplexity.scores import WindowScores, scores_of
from host.perplexity.variant import SHIPPED, Variant

__all__ = ["Measurement", "Scored"]

_PREDICTIONS = 128
"""Predictions whose logits are in memory at a time."""


@dataclass(frozen=True)
class Scored:
    """What was measured of a variant.

    Parameters
    ----------
    weight_error : float
    windows : sequence of WindowScores
    """

    weight_error: float
    windows: Sequence[WindowScores]


class Measurement:
    """A model and the tokens that it predicts."""

    def __init__(self, checkpoint: Checkpoint, windows: np.ndarray, calibration: np.ndarray | None) -> None:
        self.model, self.checkpoint = Llama(checkpoint), checkpoint
        self.windows, self.calibration = windows, calibration
        if windows.shape[1] > self.model.settings.context:
            raise UserError(f"windows of {windows.shape[1]:,} tokens are longer than the context of {checkpoint.path}, "
                            f"{self.model.settings.context:,} tokens: give shorter ones with --window")
        self._reference: Sequence[torch.Tensor] = ()

    def _window(self, states: torch.Tensor, reference: torch.Tensor, tokens: np.ndarray) -> WindowScores:
        """Return the scores of one window, from its hidden states behind the last layer."""
        count, sums = len(tokens) - 1, np.zeros(3)
        following = torch.from_numpy(tokens[1:])
        with torch.inference_mode():
            for start in range(0, count, _PREDICTIONS):
                part = slice(start, min(start + _PREDICTIONS, count))
                sums += scores_of(self.model.logits(states[:, part])[0], self.model.logits(reference[:, part])[0],
                                  following[part])
        return WindowScores(*(float(value) for value in sums / count))

    def score(self, variant: Variant, progress: Callable[[int], None]) -> Scored:
        """Measure one variant.

        Parameters
        ----------
        progress : callable
            Called with the number of layers that are done.

        Raises
        ------
        UserError
            As :func:`host.perplexity.passes.passed`.
        """
        def states_of(each: Variant) -> Passed:
            return passed(self.model, self.checkpoint, each, self.windows, self.calibration, progress)

        self._reference = self._reference or states_of(SHIPPED).states
        found = Passed(self._reference, 0.0) if variant == SHIPPED else states_of(variant)
        return Scored(found.weight_error, [self._window(*each) for each in
                                           zip(found.states, self._reference, self.windows, strict=True)])
