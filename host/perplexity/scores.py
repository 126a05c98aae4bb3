"""What is measured on the predictions of a window, and means over windows with their standard errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
import torch
from torch.nn.functional import log_softmax

__all__ = ["Estimate", "WindowScores", "estimate", "perplexity", "perplexity_ratio", "scores_of"]


@dataclass(frozen=True)
class WindowScores:
    """Means over the predictions of one window.

    Parameters
    ----------
    nll : float
        Negative log likelihood of the token that follows, in nats.
    kl : float
        Kullback-Leibler divergence of the prediction from that of the unmodified model, in nats.
    top1 : float
        Share of predictions whose likeliest token is that of the unmodified model.
    """

    nll: float
    kl: float
    top1: float


def scores_of(logits: torch.Tensor, reference: torch.Tensor, following: torch.Tensor) -> tuple[float, float, int]:
    """Return sums over some predictions: of the negative log likelihood, of the divergence, and of equal first choices.

    Parameters
    ----------
    logits, reference : float tensors, (predictions, vocabulary)
        Of the model at hand, and of the unmodified one.
    following : int64 tensor, (predictions,)
        The tokens that follow.
    """
    own, other = log_softmax(logits.double(), dim=-1), log_softmax(reference.double(), dim=-1)
    nll = -own.gather(-1, following[:, None]).sum()
    kl = (other.exp() * (other - own)).sum()
    return float(nll), float(kl), int((logits.argmax(dim=-1) == reference.argmax(dim=-1)).sum())


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error over windows, which is None where there is one window only."""

    value: float
    error: float | None


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean over windows and its standard error: the sample's deviation by the root of the number."""
    error = float(np.std(values, ddof=1)) / sqrt(len(values)) if len(values) > 1 else None
    return Estimate(float(np.mean(values)), error)


def _exponential(mean: Estimate) -> Estimate:
    """Return e to an estimate. Its error is that of the exponent to the first order."""
    value = exp(min(mean.value, 700.0))
    return Estimate(value, None if mean.error is None else value * mean.error)


def perplexity(nll: Sequence[float]) -> Estimate:
    """Return e to the mean negative log likelihood of windows of equal length."""
    return _exponential(estimate(nll))


def perplexity_ratio(nll: Sequence[float], reference: Sequence[float]) -> Estimate:
    """Return the perplexity as a multiple of the unmodified model's on the same windows.

    Windows differ much more from one another than a window differs between models, so that the standard error of the
    ratio is that of the paired differences, and much smaller than those of both perplexities.
    """
    return _exponential(estimate([one - other for one, other in zip(nll, reference, strict=True)]))
