"""The inputs of a model's linear layers, one after another: hidden states are all that is kept between layers.

There are two streams of hidden states: those of the model as it is, and those of the compressed model, in which all
matrices so far are compressed, also those of the layer at hand. So each matrix sees the input that it will have in the
compressed model, and how far that input has drifted from the one it had. Memory holds the streams, the weights of one
layer, and the moments of one input.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from host.calibrate.moments import Moments
from host.checkpoint.checkpoint import Checkpoint
from host.model.linear import FloatLinear, Linear
from host.model.llama import Llama
from host.update import Update, no_progress

__all__ = ["Inputs"]

_BATCH = 4096  # tokens that pass a layer at a time: with the widest of layers, less than a gigabyte
_DAMPING = 0.01
"""What is added to the diagonal of the second moment, relative to its mean, where it is inverted."""
_TRUST = 0.5
"""Share of a predicted drift that is believed. On stories260K, errors in perplexity are least with 1 where there are
hundreds of tokens for each column, and with a half where there are ten, which is what a calibration usually has."""

_Names = tuple[str, ...]
_Restored = Callable[[str], np.ndarray]


class _Reached(Exception):
    """The input that was waited for."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


class _Until:
    """A :class:`~host.model.linear.Linear` that ends the pass at the input of some matrices."""

    def __init__(self, linear: Linear, names: _Names) -> None:
        self._linear, self._names = linear, names

    def __call__(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        """Return the products, or raise the input."""
        if tuple(names) == self._names:
            raise _Reached(x)
        return self._linear(names, x)


class _Seen:
    """A :class:`~host.model.linear.Linear` that keeps its inputs, (tokens, columns), by the names of the matrices."""

    def __init__(self, linear: Linear) -> None:
        self._linear, self.inputs = linear, dict[_Names, Tensor]()

    def __call__(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        """Return the products."""
        self.inputs[tuple(names)] = x
        return self._linear(names, x)


def _moments(batches: Sequence[tuple[Tensor, Tensor]]) -> Moments:
    """Return the moments of an input, of which each batch holds the one in the compressed model and the one in the
    model as it is."""
    columns = batches[0][0].shape[1]
    own, cross = torch.zeros(columns, columns), torch.zeros(columns, columns)
    for x, plain in batches:  # these are few, and each product is summed in blocks: float32 keeps six digits
        own.addmm_(x.T, x)
        cross.addmm_((plain - x).T, x)
    count = sum(len(x) for x, _ in batches)
    own = (own.triu() + own.triu(1).T) / count  # symmetric to the last digit, so that one half tells all
    if not cross.any():  # nothing before it is compressed
        return Moments(own.numpy(), np.zeros(own.shape, np.float16))
    damped = own.double() + _DAMPING * own.diagonal().mean() * torch.eye(columns, dtype=torch.float64)
    drift = torch.linalg.solve(damped, (cross / count).double().T).T
    return Moments(own.numpy(), (_TRUST * drift).half().numpy())


class Inputs:
    """The hidden states of calibration tokens before the decoder layer ``number``; after the last one, that is the
    number of layers, and the matrix that reads them is the one that gives the logits.

    Parameters
    ----------
    tokens : int64 array, (sequences, length)

    Raises
    ------
    UserError
        As :class:`host.model.llama.Llama`, and when the model's context is shorter than the sequences.
    """

    def __init__(self, checkpoint: Checkpoint, tokens: np.ndarray) -> None:
        self._checkpoint, self._llama, self.number = checkpoint, Llama(checkpoint), 0
        self._llama.require_context(tokens.shape[1])
        self.layers = self._llama.settings.layers
        step = max(_BATCH // tokens.shape[1], 1)
        with torch.inference_mode():
            self._hidden = [self._llama.embed(part) for part in torch.from_numpy(tokens).split(step)]
        self._plain = list(self._hidden)

    def _out(self, linear: Linear, hidden: Tensor) -> Tensor:
        """Return what the layer at hand makes of hidden states."""
        llama = self._llama.with_linear(linear)
        return llama.layer(self.number, hidden) if self.number < self.layers else llama.logits(hidden)

    def _reached(self, linear: Linear, hidden: Tensor, names: _Names) -> Tensor:
        """Return the input of matrices of the layer at hand: (tokens, columns)."""
        try:
            self._out(_Until(linear, names), hidden)
        except _Reached as found:
            return found.x
        raise LookupError(names)

    @cached_property
    def _plain_pass(self) -> tuple[list[Tensor], list[dict[_Names, Tensor]]]:
        """What the layer at hand makes of the model's own hidden states, and the inputs of its linear layers, batch by
        batch."""
        linear, out, inputs = FloatLinear(self._checkpoint.matrix), [], []
        for hidden in self._plain:
            seen = _Seen(linear)
            out.append(self._out(seen, hidden))
            inputs.append(seen.inputs)
        return out, inputs

    def moments(self, names: _Names, restored: _Restored, progress: Update = no_progress) -> Moments:
        """Return the moments of the input that matrices of the layer at hand read.

        Parameters
        ----------
        names : tuple of str
            All matrices that read the input, as :meth:`host.model.llama.Llama.matrices` has them, or the one that gives
            the logits.
        restored : callable
            Returns a matrix of the compressed model by its name: float32, (rows, columns). It is asked for those of the
            layer that a token uses before these.

        Raises
        ------
        UserError
            When a tensor is missing or cannot be read.
        """
        linear, batches = FloatLinear(restored), []
        with torch.inference_mode():
            for at, hidden in enumerate(self._hidden):
                progress(f"inputs of {names[0]}", at, len(self._hidden))
                x = self._reached(linear, hidden, names)
                if self.number < self.layers:
                    plain = self._plain_pass[1][at][names]
                else:
                    plain = self._reached(linear, self._plain[at], names)
                batches.append((x, plain))
            return _moments(batches)

    def advance(self, restored: _Restored, progress: Update = no_progress) -> None:
        """Go on to the next layer.

        Parameters
        ----------
        restored : callable
            As for :meth:`moments`; it is asked for all matrices of the layer.

        Raises
        ------
        UserError
            When a tensor is missing or cannot be read.
        """
        linear, out = FloatLinear(restored), []
        with torch.inference_mode():
            self._plain = self._plain_pass[0]
            for at, hidden in enumerate(self._hidden):
                progress(f"layer {self.number}", at, len(self._hidden))
                out.append(self._out(linear, hidden))
        self._hidden = out
        del self._plain_pass
        self.number += 1
