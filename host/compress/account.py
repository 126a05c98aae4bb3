"""The account of a compression: what became smaller, what lost most, and what was left alone."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from host.checkpoint.checkpoint import Checkpoint
from host.checkpoint.manifest import CompressedTensor
from host.checkpoint.shards import FLOATS
from host.compress.plan import Plan

__all__ = ["FAR", "Account", "account", "far_off", "far_off_notice",
           "quantised_notice"]

_NAMED = 3  # tensors named in a sentence

FAR = 1.25
"""A tensor whose blocks lose so many times what blocks of Gaussian weights do is far from what its format gives.
Matrices of SmolLM2-135M, and weights with heavy tails (Student's t of two degrees of freedom), reach 1.05. One weight
of 300 among others of 0.02 makes it 1.3, and one of 30,000 makes it 4."""


@dataclass(frozen=True)
class Account:
    """What a compression did to a model.

    Members
    -------
    before, after : int
        Bytes of the files of weights, and of all tensors of the result.
    bits : float
        Stored bits for one weight, over all tensors.
    share : float
        Bytes of the matrices that are compressed, of those of all matrices, before the compression.
    gaussian : dict
        Relative error of a block of Gaussian weights in the mode, by the name of the format.
    errors : list of (str, CompressedTensor)
        The compressed tensors, the one whose blocks lose most first.
    left : list of (str, int)
        Names and bytes of the matrices that are left alone and could be compressed, the largest first.
    """

    before: int
    after: int
    bits: float
    share: float
    gaussian: dict[str, float]
    errors: list[tuple[str, CompressedTensor]]
    left: list[tuple[str, int]]


def account(checkpoint: Checkpoint, plan: Plan, tensors: Mapping[str, CompressedTensor]) -> Account:
    """Return the account of a compression.

    Parameters
    ----------
    tensors : mapping
        What the compressed tensors mean, by name.

    Raises
    ------
    UserError
        When a file of the checkpoint can no longer be read.
    """
    shapes = {name: checkpoint.shape(name) for name in checkpoint.names()}
    matrices = {name: checkpoint.raw_size(name) for name, shape in shapes.items() if len(shape) > 1}
    # Asking for the type of a quantised tensor reads all of it: only those are asked that were copied, and so read.
    left = [(name, size) for name, size in matrices.items()
            if name not in tensors and checkpoint.raw(name).dtype in FLOATS]
    weights = sum(map(math.prod, shapes.values()))
    return Account(
        sum(Path(file).stat().st_size for file in checkpoint.files), plan.output_bytes, 8 * plan.output_bytes / weights,
        sum(matrices[name] for name in tensors) / sum(matrices.values()), plan.gaussian,
        sorted(tensors.items(), key=lambda item: -item[1].block_error), sorted(left, key=lambda item: -item[1]))


def quantised_notice(checkpoint: Checkpoint, names: Iterable[str]) -> list[str]:
    """Return a sentence about tensors that are quantised in the checkpoint already, to less than eight bits for a
    weight, if there are any. The formats are those of GGUF files: all others are refused when a checkpoint is opened.

    Parameters
    ----------
    names : iterable of str
        The tensors that are compressed.

    Raises
    ------
    UserError
        When there is no such tensor in the checkpoint.
    """
    bits: dict[str, float] = {}
    for kind in dict.fromkeys(map(checkpoint.dtype, names)):
        if kind in GGMLQuantizationType.__members__:
            weights, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
            bits[kind] = 8 * size / weights
    few = ", ".join(f"{kind}, {count:.3g} bits for a weight" for kind, count in bits.items() if count < 8)
    return [f"the model is quantised already ({few}): the errors of both formats add up, and the folder may be larger "
            "than the model; a file in F16, BF16 or Q8_0 is the better start"] if few else []


def far_off(tensors: Mapping[str, CompressedTensor], gaussian: Mapping[str, float]) -> list[str]:
    """Return the names of the tensors whose errors are far from what the format gives, the worst first.

    The error of a whole tensor does not show them. A weight that is far greater than all others makes that error
    smaller, while all blocks of small weights are lost, because a tensor has one exponent bias. The mean over blocks,
    which counts each block alike, shows it. What is nothing but zeros is not among them.
    """
    far = [name for name, tensor in tensors.items()
           if tensor.error < 1 and tensor.block_error > FAR * gaussian[tensor.format]]
    return sorted(far, key=lambda name: -tensors[name].block_error)


def far_off_notice(tensors: Mapping[str, CompressedTensor], gaussian: Mapping[str, float],
                   calibrated: bool) -> list[str]:
    """Return a sentence about the tensors of :func:`far_off`, if there are any. With calibration, weights are meant to
    be off: they make up for the errors of others."""
    far = far_off(tensors, gaussian)
    if not far or calibrated:
        return []
    more = f" and {len(far) - _NAMED} more" if len(far) > _NAMED else ""
    named = ", ".join(f"{name} ({tensors[name].block_error:.2f})" for name in far[:_NAMED])
    usual = " or ".join(f"{gaussian[name]:.2f}" for name in sorted({tensors[name].format for name in far}))
    return [f"blocks of {len(far)} tensors lose far more than the {usual} that the format gives: {named}{more}; "
            "a few weights there are far greater than all others, and --exclude leaves such tensors as they are"]
