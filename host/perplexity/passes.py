"""A pass of windows through a model whose matrices get codes, layer by layer, so that one layer is in memory at a time.

Where a code needs to know the inputs of matrices, the calibration's tokens take the same way, as in a compression: the
input of a matrix is the one that it has where all matrices before it have their codes already.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from golden.block import CompressedMatrix
from golden.product import Weights
from host.calibrate.inputs import Inputs
from host.checkpoint.checkpoint import Checkpoint
from host.model.golden_linear import GoldenLinear
from host.model.linear import FloatLinear, Linear
from host.model.llama import Llama
from host.packing import decode
from host.perplexity.variant import Shared, Variant

__all__ = ["Passed", "passed"]


@dataclass(frozen=True)
class Passed:
    """What a pass leaves.

    Parameters
    ----------
    states : sequence of float32 tensors, each (1, tokens, hidden)
        Hidden states behind the last layer, of each window.
    weight_error : float
        Relative error of the weights that have codes, all matrices together.
    """

    states: Sequence[torch.Tensor]
    weight_error: float


def _embedded(model: Llama, windows: np.ndarray) -> list[torch.Tensor]:
    """Return the vectors of the tokens of windows, int64, (windows, tokens): float32 tensors, (1, tokens, hidden)."""
    return [model.embed(torch.from_numpy(window)[None]) for window in windows]


def _through(model: Llama, linear: Linear, number: int, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return hidden states behind a layer whose matrices ``linear`` multiplies."""
    layer = model.with_linear(linear)
    return [layer.layer(number, each) for each in states]


def _scalable(model: Llama, group: Sequence[str]) -> bool:
    """Return whether the operation before a group of matrices can take up scales of its channels: a norm, or a matrix
    whose outputs its inputs are. With grouped queries, the values have fewer channels than the output projection."""
    return model.settings.heads == model.settings.kv_heads or not group[0].endswith("o_proj.weight")


def _numbers(weights: Weights) -> np.ndarray:
    """Return what codes stand for, float64; an array is that already."""
    if isinstance(weights, np.ndarray):
        return weights
    return decode.weights(weights) if isinstance(weights, CompressedMatrix) else weights.weights()


def _errors(matrices: Mapping[str, np.ndarray], numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the squared error of some matrices, and the sum of their squares."""
    return np.array([(np.square(numbers[name] - weights).sum(), np.square(weights, dtype=np.float64).sum())
                     for name, weights in matrices.items()]).sum(axis=0)


def passed(model: Llama, checkpoint: Checkpoint, variant: Variant, windows: np.ndarray, calibration: np.ndarray | None,
           progress: Callable[[int], None]) -> Passed:
    """Pass windows through a model with a variant's weights.

    Parameters
    ----------
    windows, calibration : int64 array, (windows, tokens)
        Tokens whose hidden states are wanted, and those on whose inputs a code may rest.
    progress : callable
        Called with the number of layers that are done.

    Raises
    ------
    UserError
        When a tensor cannot be read or coded, or an activation is beyond those of the engine.
    """
    with torch.inference_mode():
        states = _embedded(model, windows)
        inputs = Inputs(checkpoint, calibration) if variant.calibrated and calibration is not None else None
        errors = np.zeros(2)
        for number in range(model.settings.layers):
            linear: Linear = FloatLinear(checkpoint.matrix)
            if variant.code:
                codes: dict[str, Weights] = {}
                numbers: dict[str, np.ndarray] = {}
                for group in model.matrices(number):
                    matrices = {name: checkpoint.matrix(name) for name in group}
                    shared = inputs and Shared(inputs.moments(group, numbers.__getitem__), _scalable(model, group))
                    found = variant.code(matrices, shared)
                    codes.update(found)
                    numbers.update({name: _numbers(code) for name, code in found.items()})
                    errors += _errors(matrices, numbers)
                if inputs:
                    inputs.advance(numbers.__getitem__)
                linear = (GoldenLinear(codes.__getitem__, variant.act_bits) if variant.act_bits else
                          FloatLinear(numbers.__getitem__))
            states = _through(model, linear, number, states)
            progress(number + 1)
    return Passed(states, float(np.sqrt(errors[0] / errors[1])) if errors[1] else 0.0)
