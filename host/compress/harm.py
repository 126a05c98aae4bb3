"""What errors of the formats do to a model, matrix by matrix, as a mixture of formats under a budget must know.

The relative squared error of a matrix in each format is measured on a sample of its rows. It counts alike for all
matrices, or, with a calibration, times what the model says of such an error (:mod:`host.calibrate.sensitivity`). What
was found out is kept in ``build/sensitivity`` under a digest of all that it depends on, so that a run that goes on, and
one with another budget, measure nothing again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from golden.products import file_product
from golden.spec import BlockFormat
from golden.tree import source_digest
from host.calibrate.calibration import Calibration
from host.checkpoint.checkpoint import Checkpoint
from host.compress.plan import Options
from host.compress.slices import Work, search_slice
from host.compress.weighting import channel_weights
from host.encoder.encoder import exponent_bias_for
from host.errors import UserError
from host.folders import kept_folder
from host.packing import decode
from host.update import Update

__all__ = ["harms"]

_SAMPLE = 1 << 14
"""Weights of a matrix that are encoded at least: 2,048 blocks of eight, whose mean error varies by some 0.5 %."""
_GROUPS = 4
"""Places of a matrix that these weights are from, each of some rows, as single rows of a transposed tensor cost as much
to read as all."""
_LEAST_ROWS = 4  # of a group


def _sample(checkpoint: Checkpoint, name: str) -> np.ndarray:
    """Return some rows of a matrix, from all over it: float32, (rows, columns)."""
    rows, cols = checkpoint.matrix_shape(name)
    height = max(_SAMPLE // (_GROUPS * cols), _LEAST_ROWS)
    if rows <= _GROUPS * height:
        return checkpoint.matrix(name)
    starts = [(rows - height) * group // (_GROUPS - 1) for group in range(_GROUPS)]
    return np.concatenate([checkpoint.matrix(name, slice(start, start + height)) for start in starts])


def _error(name: str, weights: np.ndarray, fmt: BlockFormat, options: Options, channels: np.ndarray | None) -> float:
    """Return the relative squared error of weights in a format. Errors in columns count as channel weights say."""
    bias = exponent_bias_for(float(np.abs(weights).max())) if options.bias == "auto" else 0
    matrix = search_slice(Work(weights, name, fmt.name, options.mode, bias, check=False,
                               device=next(iter(options.devices), ""), device_memory=options.device_memory))
    exact = weights.astype(np.float64)
    counted = np.ones(weights.shape[1]) if channels is None else np.square(channels)
    norm = float((np.square(exact) @ counted).sum())
    return float((np.square(decode.weights(matrix) - exact) @ counted).sum()) / norm if norm else 0.0


def _sensitivities(checkpoint: Checkpoint, calibration: Calibration, fingerprint: str,
                   progress: Update) -> dict[str, float]:
    """Return what the model says of an error in each matrix that a token meets. UserError when it cannot be run."""
    try:
        from host.calibrate.sensitivity import sensitivities
        from host.calibrate.tokens import calibration_tokens
    except ImportError as error:
        raise UserError(f"calibration runs the model, which needs PyTorch ({error}): run `pip install "
                        "'.[model]'` in a checkout of seedlm-fpga") from None
    return sensitivities(checkpoint, calibration_tokens(checkpoint, calibration, fingerprint, progress), progress)


def _measured(checkpoint: Checkpoint, names: Sequence[str], options: Options, weighting: Path | None,
              calibration: Calibration | None, fingerprint: str, progress: Update) -> dict[str, dict[str, float]]:
    """Return what :func:`harms` keeps."""
    counts = _sensitivities(checkpoint, calibration, fingerprint, progress) if calibration else {}
    known = [counts[name] for name in names if name in counts]
    usual = median(known) if known else 1.0
    found: dict[str, dict[str, float]] = {}
    for done, name in enumerate(names):
        progress(f"errors of {name}", done, len(names))
        rows, channels = _sample(checkpoint, name), channel_weights(weighting, name)
        # Sums of floats differ in their last digits from processor to processor, and the choice must not.
        found[name] = {key: float(f"{counts.get(name, usual) * _error(name, rows, fmt, options, channels):.6g}")
                       for key, fmt in options.block_formats.items()}
    return found


def harms(checkpoint: Checkpoint, names: Sequence[str], options: Options, weighting: Path | None,
          calibration: Calibration | None, fingerprint: str, progress: Update) -> Mapping[str, Mapping[str, float]]:
    """Return the harm that the errors of each matrix do in each of the options' formats, by their names.

    With a calibration, it is an estimate of the divergence from the model as it is, in nats for a token. A matrix that
    tokens of text do not meet counts like the median of the others. Without one, it is the relative squared error.

    Parameters
    ----------
    weighting : Path, optional
        A folder of channel weights.
    fingerprint : str
        A digest of the checkpoint and the channel weights.
    progress : Update
        Called while the model runs, and with the number of matrices that are measured.

    Raises
    ------
    UserError
        When a matrix cannot be read or encoded, the model cannot be run, or the build folder cannot be written.
    """
    described = calibration.described() if calibration else None
    known = [fingerprint, list(names), list(options.block_formats), options.mode, options.bias, described,
             source_digest(__name__)]
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:24]
    content = file_product(kept_folder("sensitivity") / f"{digest}.json", lambda: json.dumps(_measured(
        checkpoint, names, options, weighting, calibration, fingerprint, progress)).encode())
    found: dict[str, dict[str, float]] = json.loads(content)
    return found
