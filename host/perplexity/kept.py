"""Scores of finished variants, kept between runs in ``build/perplexity-kept`` under a digest of all that they depend
on, so that an interrupted run goes on with the first unfinished variant."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from golden.products import file_product
from golden.tree import source_digest
from host.folders import kept_folder
from host.perplexity.measurement import Scored
from host.perplexity.scores import WindowScores
from host.perplexity.variant import Variant

__all__ = ["Key"]

_FOLDER = "perplexity-kept"


@dataclass(frozen=True)
class Key:
    """What scores depend on.

    Parameters
    ----------
    model : str
        Digest of the checkpoint's files.
    windows : int64 array, (windows, tokens)
    calibration : int64 array, (windows, tokens), or None
    """

    model: str
    windows: np.ndarray
    calibration: np.ndarray | None

    def _name(self, variant: Variant) -> str:
        """Return the name of the file with a variant's scores."""
        calibration = self.calibration if variant.calibrated else None
        what = (variant.described(), self.model, self.windows.shape, np.__version__, torch.__version__,
                None if calibration is None else calibration.shape,
                source_digest("host.perplexity.measurement", *variant.modules()))
        digest = hashlib.sha256(repr(what).encode())
        digest.update(self.windows.tobytes())
        digest.update(b"" if calibration is None else calibration.tobytes())
        return f"{digest.hexdigest()[:24]}.json"

    def scored(self, variant: Variant, measure: Callable[[], Scored]) -> Scored:
        """Return a variant's scores, which ``measure`` makes unless they are kept.

        Raises
        ------
        UserError
            When the folder cannot be written, and whatever ``measure`` raises.
        """
        content = json.loads(file_product(kept_folder(_FOLDER) / self._name(variant),
                                          lambda: json.dumps(asdict(measure())).encode()))
        return Scored(content["weight_error"], [WindowScores(**window) for window in content["windows"]])
