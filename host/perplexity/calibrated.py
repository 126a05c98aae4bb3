"""SeedLM's codes with error feedback, as a compression with calibration finds them."""

from collections.abc import Mapping

import numpy as np

from golden.product import Weights
from golden.spec import BlockFormat
from host.encoder.encoder import exponent_bias_for
from host.feedback.aim import Aim
from host.feedback.factor import Factor
from host.feedback.feedback import encode_feedback
from host.perplexity.variant import Shared

__all__ = ["seedlm_feedback"]


def seedlm_feedback(matrices: Mapping[str, np.ndarray], shared: Shared | None, fmt: BlockFormat,
                    drift: bool) -> Mapping[str, Weights]:
    """Return the codes of matrices whose blocks make up for each other's errors.

    Parameters
    ----------
    drift : bool
        Whether the matrices also make up for what their input has drifted.
    """
    assert shared
    own, drifted = shared.moments
    aim = Aim(Factor(own, fmt.c), drifted if drift else np.zeros_like(drifted))
    found = encode_feedback([aim.of(weights) for weights in matrices.values()], fmt, aim.factor, exponent_biases=[
        exponent_bias_for(float(np.abs(weights).max())) for weights in matrices.values()])
    return dict(zip(matrices, found, strict=True))
