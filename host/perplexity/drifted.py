"""GPTQ that also makes up for the drift of inputs, as the calibrated SeedLM does: the fair control beside it."""

from collections.abc import Mapping

import numpy as np

from golden.product import Weights
from host.feedback.aim import made_up
from host.perplexity.gptq import gptq
from host.perplexity.variant import Shared

__all__ = ["gptq_drifted"]


def gptq_drifted(matrices: Mapping[str, np.ndarray], shared: Shared | None, bits: int) -> Mapping[str, Weights]:
    """Return :func:`host.perplexity.gptq.gptq` of what the matrices are to be, where their input has drifted."""
    assert shared
    own, drift = shared.moments
    return {name: gptq(made_up(weights, drift), own, bits) for name, weights in matrices.items()}
