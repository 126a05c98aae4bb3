"""Perplexity and its kin of a model with weights of many codes, each on the same tokens."""

from collections.abc import Callable, Sequence

import numpy as np

from host.checkpoint.checkpoint import Checkpoint
from host.checkpoint.digests import content_digest
from host.perplexity.kept import Key
from host.perplexity.measurement import Measurement, Scored
from host.perplexity.scores import estimate, perplexity, perplexity_ratio
from host.perplexity.stored_bits import bits_per_weight, model_bits
from host.perplexity.variant import SHIPPED, Variant
from host.tables.perplexity import PerplexityRow
from host.update import Update, no_progress

__all__ = ["measure"]


def _row(model: str, checkpoint: Checkpoint, names: Sequence[str], variant: Variant, scored: Scored, shipped: Scored,
         tokens: int) -> PerplexityRow:
    """Return the row of a variant."""
    nll = [window.nll for window in scored.windows]
    own, ratio = perplexity(nll), perplexity_ratio(nll, [window.nll for window in shipped.windows])
    kl, top1 = estimate([window.kl for window in scored.windows]), estimate([window.top1 for window in scored.windows])
    return PerplexityRow(
        model=model, variant=variant.name, family=variant.family,
        bits_per_weight=bits_per_weight(checkpoint, names, variant),
        model_bits=model_bits(checkpoint, names, variant), weight_error=scored.weight_error,
        perplexity=own.value, perplexity_error=own.error, increase=ratio.value - 1, increase_error=ratio.error,
        kl=kl.value, kl_error=kl.error, top1=top1.value, top1_error=top1.error, tokens=tokens)


def measure(checkpoint: Checkpoint, model: str, variants: Sequence[Variant], windows: np.ndarray,
            calibration: np.ndarray | None = None, progress: Update = no_progress) -> list[PerplexityRow]:
    """Return a row for each variant.

    Finished variants are kept under the build folder, so that a run that is interrupted goes on with the others.

    Parameters
    ----------
    model : str
        What to call the checkpoint.
    windows : int64 array, (windows, tokens)
        The text; all but the first token of each window are predicted.
    calibration : int64 array, (windows, tokens), optional
        The text on whose inputs codes rest that need some.
    progress : Update

    Raises
    ------
    UserError
        When the model is of a family that the forward pass does not know, a window is longer than its context, or a
        matrix or an activation is beyond the range of a code.
    """
    measurement = Measurement(checkpoint, windows, calibration)
    layers = measurement.model.settings.layers
    names = [name for number in range(layers) for group in measurement.model.matrices(number) for name in group]
    key = Key(content_digest(checkpoint.files), windows, calibration)
    wanted = [SHIPPED, *(variant for variant in variants if variant != SHIPPED)]
    total = sum(variant.cost for variant in wanted) * layers
    scored: dict[str, Scored] = {}
    done: float = 0
    for variant in wanted:
        def of_all(number: int, variant: Variant = variant, before: float = done) -> None:
            progress(f"{variant.name}, layer {number} of {layers}", before + variant.cost * number, total)

        def measured(variant: Variant = variant, of_all: Callable[[int], None] = of_all) -> Scored:
            return measurement.score(variant, of_all)

        of_all(0)
        scored[variant.name] = key.scored(variant, measured)
        done += variant.cost * layers
    progress(model, total, total)
    return [_row(model, checkpoint, names, variant, scored[variant.name], scored[SHIPPED.name],
                 windows.shape[0] * (windows.shape[1] - 1)) for variant in variants]
