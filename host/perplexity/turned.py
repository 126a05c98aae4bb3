"""Codes of rotated matrices that make up for their errors, and for what their input has drifted: the trellis code, and
GPTQ as the fair control beside it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from golden.product import Weights
from golden.rotation import restored_weights, rotated_weights
from golden.spec import ROTATION_BLOCK, TrellisFormat
from host.feedback.aim import made_up
from host.feedback.trellis import encode_trellis, trellis_factor
from host.perplexity.gptq import gptq
from host.perplexity.variant import Shared

__all__ = ["gptq_turned", "trellis_turned"]

_Encode = Callable[[Sequence[np.ndarray], np.ndarray], Sequence[np.ndarray]]


def _in_rotation(matrices: Mapping[str, np.ndarray], shared: Shared | None, restored: _Encode) -> dict[str, Weights]:
    """Return what codes of matrices stand for, where ``restored`` says what those of the rotated ones do, for the
    rotated second moment of their input. Where the rotation does not divide the columns, nothing is rotated."""
    assert shared
    own, drift = shared.moments
    wanted = [made_up(weights, drift) for weights in matrices.values()]
    if len(own) % ROTATION_BLOCK:
        return dict(zip(matrices, restored(wanted, own), strict=True))
    found = restored([rotated_weights(weights) for weights in wanted], rotated_weights(rotated_weights(own).T))
    return {name: restored_weights(weights) for name, weights in zip(matrices, found, strict=True)}


def trellis_turned(matrices: Mapping[str, np.ndarray], shared: Shared | None,
                   fmt: TrellisFormat) -> Mapping[str, Weights]:
    """Return trellis codes of rotated matrices."""
    return _in_rotation(matrices, shared, lambda wanted, moment: [
        each.weights() for each in encode_trellis(wanted, fmt, trellis_factor(moment))])


def gptq_turned(matrices: Mapping[str, np.ndarray], shared: Shared | None, bits: int) -> Mapping[str, Weights]:
    """Return :func:`host.perplexity.gptq.gptq` of rotated matrices."""
    return _in_rotation(matrices, shared, lambda wanted, moment: [gptq(each, moment, bits) for each in wanted])
