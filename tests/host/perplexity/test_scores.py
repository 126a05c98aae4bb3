"""Scores of predictions beside their definitions, and standard errors over windows."""

from math import exp, log, sqrt

import numpy as np
import pytest
import torch

from host.perplexity.scores import estimate, perplexity, perplexity_ratio, scores_of


def test_scores_are_those_of_their_definitions() -> None:
    random = np.random.default_rng(0)
    logits, reference = random.normal(0, 2, (2, 5, 7)).astype(np.float32)
    following = random.integers(0, 7, 5)
    nll = kl = 0.0
    equal = 0
    for own, other, token in zip(logits.astype(float), reference.astype(float), following, strict=True):
        p, q = np.exp(other) / np.exp(other).sum(), np.exp(own) / np.exp(own).sum()
        nll -= log(q[token])
        kl += float((p * np.log(p / q)).sum())
        equal += own.argmax() == other.argmax()
    found = scores_of(*map(torch.from_numpy, (logits, reference, following)))
    assert found == (pytest.approx(nll, rel=1e-12), pytest.approx(kl, rel=1e-12), equal)
    assert scores_of(*map(torch.from_numpy, (logits, logits, following)))[1:] == (0, 5)


def test_standard_errors() -> None:
    values = [1.0, 2.0, 4.0]
    found = estimate(values)
    assert found.value == pytest.approx(7 / 3)
    assert found.error == pytest.approx(sqrt(sum((x - 7 / 3) ** 2 for x in values) / 2 / 3))
    assert estimate([2.0]).error is None


def test_perplexity_and_its_ratio() -> None:
    one = perplexity([1.0, 3.0])
    assert (one.value, one.error) == (pytest.approx(exp(2)), pytest.approx(exp(2)))  # deviation sqrt(2), by sqrt(2)
    ratio = perplexity_ratio([1.5, 3.5], [1.0, 3.0])  # equally worse on both windows: no error
    assert (ratio.value, ratio.error) == (pytest.approx(exp(0.5)), pytest.approx(0))
    assert perplexity([1.0]).error is None
