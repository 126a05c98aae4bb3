"""SeedLM beside data-free quantisers of about the same bits: relative error, tensor by tensor and in total."""

import re
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase

import numpy as np

from golden.integers import greatest_scales
from golden.spec import SEEDLM3, SEEDLM4
from host.checkpoint.checkpoint import Checkpoint
from host.encoder.encoder import encode
from host.errors import UserError
from host.packing import decode
from host.quality.controls import CONTROLS, format_bits
from host.tables.quality import QualityRow

__all__ = ["SIGMA", "matrices", "quality", "sampled_experts", "sampled_matrix"]

SIGMA = 0.02
"""Standard deviation of random weights: about that of a language model's, and that of the published figures of
seedlm-repro (https://github.com/qiuyu-ren/seedlm-repro). It is not the paper's, which explores formats on N(0, 1)
(section 3.4). Errors do not depend on it, because the exponent bias is chosen."""

_FORMATS = {4: SEEDLM4, 3: SEEDLM3}


_EXPERT = re.compile(r"(.*\.experts\.)([0-9]{1,6})(\..*)")
_EXPERTS = 4
"""Experts of a layer that are measured where rows are sampled."""


def sampled_matrix(checkpoint: Checkpoint, name: str, rows: int) -> np.ndarray:
    """Return ``rows`` evenly spaced rows of a matrix, or all when it has no more or ``rows`` is 0; float32.

    The matrix of a tensor that holds a stack of experts has the rows of all of them.
    """
    have = checkpoint.matrix_shape(name)[0]
    if not 0 < rows < have:
        return checkpoint.matrix(name)
    return np.concatenate([checkpoint.matrix(name, slice(at, at + 1)) for at in np.arange(rows) * have // rows])


def _compressed(checkpoint: Checkpoint) -> list[str]:
    """Return the matrices that are compressed by default; of a model whose family is not known, all that are named
    ``*.weight``."""
    with suppress(UserError):
        if found := checkpoint.compressible():
            return found
    return [name for name in checkpoint.names() if name.endswith(".weight") and len(checkpoint.shape(name)) == 2]


def matrices(checkpoint: Checkpoint, include: tuple[str, ...], exclude: tuple[str, ...]) -> list[str]:
    """Return the names of the matrices that match a glob of ``include`` and none of ``exclude``.

    Where ``include`` is empty, they are those that are compressed by default; of a model whose family is not known, all
    that are named ``*.weight``.

    Raises
    ------
    UserError
        When there are none.
    """
    taken = [name for name in checkpoint.names() if len(checkpoint.shape(name)) > 1
             and any(fnmatchcase(name, glob) for glob in include)] if include else _compressed(checkpoint)
    found = [name for name in taken if not any(fnmatchcase(name, glob) for glob in exclude)]
    if not found:
        raise UserError(f"no matrix in {checkpoint.path} matches {' '.join(include) or '*.weight'}: give patterns with "
                        "--include")
    return found


def sampled_experts(names: list[str]) -> tuple[list[str], str]:
    """Return the names with those of some experts in place of all, evenly spaced; and a sentence that says so, which is
    empty when all are taken."""
    numbers: dict[str, list[str]] = {}
    for name in names:
        if found := _EXPERT.fullmatch(name):
            numbers.setdefault(found[1] + found[3], []).append(name)
    left_out = {name for group in numbers.values() if len(group) > _EXPERTS for name in group}
    left_out -= {group[place * len(group) // _EXPERTS] for group in numbers.values() if len(group) > _EXPERTS
                 for place in range(_EXPERTS)}
    most = max(map(len, numbers.values()), default=0)
    return [name for name in names if name not in left_out], (
        f"{_EXPERTS} of the {most} experts of a layer are measured, evenly spaced" if left_out else "")


def quality(checkpoint: Checkpoint, model: str, names: list[str], rows: int,
            progress: Callable[[str, int, int], None]) -> list[QualityRow]:
    """Return a row for each tensor and method, then a row for each method over all tensors.

    Parameters
    ----------
    model : str
        What to call the checkpoint.
    rows : int
        Rows sampled from each tensor; 0 for all.

    Raises
    ------
    UserError
        When a tensor holds no finite floats, or weights beyond the range of the controls' scales.
    """
    results: list[QualityRow] = []
    sums: dict[str, list[tuple[float, float, float, int]]] = {}
    for done, name in enumerate(names):
        progress(f"{model} {name}", done, len(names))
        weights = sampled_matrix(checkpoint, name, rows)
        if np.isinf(greatest_scales(weights.reshape(1, -1), min(_FORMATS))).any():
            raise UserError(f"{name} has weights beyond the range of scales in FP16: leave it out with --exclude")
        norm = float(np.square(weights, dtype=np.float64).sum())
        for bits, fmt in _FORMATS.items():
            measured = [(fmt.name, format_bits(fmt)(weights.shape[1]), decode.weights(encode(weights, fmt)))]
            measured += [(control.name, control.bits_per_weight(weights.shape[1]), control.restore(weights))
                         for control in CONTROLS[bits]]
            for method, spent, restored in measured:
                error = float(np.square(restored - weights).sum())
                results.append(QualityRow(model=model, tensor=name, method=method, code_bits=bits,
                                          bits_per_weight=spent,
                                          relative_error=(error / norm) ** 0.5 if norm else 0.0))
                sums.setdefault(method, []).append((error, norm, spent * weights.size, weights.size))
    progress(model, len(names), len(names))
    for bits, fmt in _FORMATS.items():
        for method in (fmt.name, *(control.name for control in CONTROLS[bits])):
            error, norm, spent, size = (sum(column) for column in zip(*sums[method], strict=True))
            results.append(QualityRow(model=model, tensor="total", method=method, code_bits=bits,
                                      bits_per_weight=spent / size,
                                      relative_error=(error / norm) ** 0.5 if norm else 0.0))
    return results
