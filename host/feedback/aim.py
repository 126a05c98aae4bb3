"""What calibrated weights are encoded for."""

from typing import NamedTuple

import numpy as np

from host.feedback.factor import Factor

__all__ = ["Aim", "made_up"]


def made_up(weights: np.ndarray, drift: np.ndarray) -> np.ndarray:
    """Return what weights, (rows, columns), become to make up for the drift of their input, (columns, columns):
    float64."""
    exact = weights.astype(np.float64)
    return exact + exact @ drift.astype(np.float64) if drift.any() else exact


class Aim(NamedTuple):
    """What calibration says of the input of weights.

    ``factor`` says what their errors count. In the compressed model the input has drifted from what it was, and
    weights W make up for that if they become ``W + W drift``, where ``drift`` is float16, (columns, columns).
    """

    factor: Factor
    drift: np.ndarray

    def of(self, weights: np.ndarray) -> np.ndarray:
        """Return what weights, (rows, columns), are to be: float64."""
        return made_up(weights, self.drift)
