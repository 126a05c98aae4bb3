"""Weights in any format: the table of encoders."""

from collections.abc import Callable
from typing import Any

import numpy as np

from golden.integers import quantise
from golden.product import Weights
from golden.spec import BlockFormat, GroupFormat, HalfFormat, TrellisFormat, WeightFormat
from host.encoder.cache import compressed
from host.encoder.encoder import encode
from host.errors import WeightsError
from host.trellis.encoder import encode as encode_trellis

__all__ = ["coded"]

Progress = Callable[[int, int], None]


def _require_fp16(weights: np.ndarray, fmt: WeightFormat, greatest_code: int) -> None:
    """Refuse weights whose scales, or which themselves, are beyond FP16."""
    greatest = np.abs(weights).max(initial=0)
    with np.errstate(over="ignore"):
        if np.isinf(np.float16(float(greatest) / greatest_code)):
            raise WeightsError(f"weights up to {greatest:g} are beyond the range of {fmt.name}: scale the tensor, or "
                               f"leave {fmt.name} out")


def _seedlm(weights: np.ndarray, fmt: BlockFormat, progress: Progress | None, keep: bool) -> Weights:
    return compressed(weights, fmt, progress) if keep else encode(weights, fmt, progress=progress)


def _groups(weights: np.ndarray, fmt: GroupFormat, progress: Progress | None, keep: bool) -> Weights:
    _require_fp16(weights, fmt, fmt.code_max)
    return quantise(weights, fmt)


def _trellis(weights: np.ndarray, fmt: TrellisFormat, progress: Progress | None, keep: bool) -> Weights:
    return encode_trellis(weights, fmt, progress=progress)


def _half(weights: np.ndarray, fmt: HalfFormat, progress: Progress | None, keep: bool) -> Weights:
    _require_fp16(weights, fmt, 1)
    return weights.astype(np.float16)


_ENCODERS: dict[type, Callable[[np.ndarray, Any, Progress | None, bool], Weights]] = {
    BlockFormat: _seedlm, GroupFormat: _groups, TrellisFormat: _trellis, HalfFormat: _half}
"""The best encoder for the formats of each type."""


def coded(weights: np.ndarray, fmt: WeightFormat, progress: Progress | None = None, keep: bool = False) -> Weights:
    """Return a matrix in a format, as its best encoder makes it: SeedLM's and the trellis' codes are searched, and so
    are all scales.

    Parameters
    ----------
    weights : float array, (rows, columns)
    progress : callable, optional
        Called with (done, in all), by encoders that take long.
    keep : bool
        Whether SeedLM's codes are kept between runs, and taken from there.

    Raises
    ------
    WeightsError
        When weights are not finite or beyond the range of the format.
    UserError
        When an encoder cannot be built, or its codes cannot be kept.
    """
    return _ENCODERS[type(fmt)](weights, fmt, progress, keep)
