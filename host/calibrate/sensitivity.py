"""What errors in the matrices of a model do to what it says, matrix by matrix.

An error E of a matrix changes its product with an input x by E x. Let g be the gradient, by that product, of the
logarithm of the probability of tokens that are drawn from the model's own predictions. To second order, the error makes
the predictions diverge by the mean over tokens of (g^T E x)^2 / 2, in nats. For an E that is noise of r times the
squared norm of the matrix, this is r times ||W||^2 / (rows * columns) times the mean of ||g||^2 ||x||^2 / 2. While
divergences are small, those of several matrices add up.

The tokens run through the model once, and their hidden states before each layer are kept. The gradients are then taken
layer by layer, from the last one on, so that the weights of one layer are in memory at a time.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from host.checkpoint.checkpoint import Checkpoint
from host.model.linear import FloatLinear
from host.model.llama import Llama
from host.update import Update, no_progress

__all__ = ["sensitivities"]

_TOKENS = 2048
"""Tokens of the calibration that are enough, as a choice of formats needs only the order of the matrices."""
_BATCH = 1024  # tokens whose gradients are taken at a time
_SEED = 0  # of the tokens that are drawn


class _Watched:
    """Linear layers in float32 that keep what they have multiplied, and the mean squares of their weights by name."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.squares: dict[str, float] = {}
        self.seen: list[tuple[str, Tensor, Tensor]] = []

        def read(name: str) -> np.ndarray:
            weights = checkpoint.matrix(name)
            self.squares[name] = float(np.square(weights, dtype=np.float64).mean())
            return weights

        self._linear = FloatLinear(read)

    def __call__(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        """Return the products; see :class:`host.model.linear.Linear`."""
        products = self._linear(names, x)
        self.seen += [(name, x.detach(), product) for name, product in zip(names, products, strict=True)]
        return products


def _logarithm(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return the logarithm of the probability of tokens that are drawn from predictions."""
    predicted = logits.log_softmax(-1)
    drawn = torch.multinomial(predicted.detach().exp().flatten(0, -2), 1, generator=generator)
    return predicted.flatten(0, -2).gather(-1, drawn).sum()


def sensitivities(checkpoint: Checkpoint, tokens: np.ndarray, progress: Update = no_progress) -> dict[str, float]:
    """Return the divergence in nats for a token that an error of the size of the matrix itself would make, if it grew
    on as small errors do, for all matrices that tokens meet, by the names of their tensors.

    Parameters
    ----------
    tokens : int64 array, (sequences, length)
        Of these, the first sequences serve.
    progress : Update
        Called with the number of layers that are done.

    Raises
    ------
    UserError
        As :class:`host.model.llama.Llama`, when the model's context is shorter than the sequences, or a tensor cannot
        be read.
    """
    llama, length = Llama(checkpoint), tokens.shape[1]
    llama.require_context(length)
    layers, generator = llama.settings.layers, torch.Generator().manual_seed(_SEED)
    batches = torch.from_numpy(tokens[:max(_TOKENS // length, 1)]).split(max(_BATCH // length, 1))
    count = sum(batch.numel() for batch in batches)
    hidden = [[llama.embed(batch) for batch in batches]]
    with torch.no_grad():
        for number in range(layers):
            progress(f"layer {number}", number, 2 * layers)
            linear = llama.with_linear(FloatLinear(checkpoint.matrix))
            hidden.append([linear.layer(number, each) for each in hidden[-1]])
    found: dict[str, float] = defaultdict(float)
    gradients: list[Tensor | None] = [None] * len(batches)
    for number in range(layers, -1, -1):
        progress(f"gradients of layer {number}", 2 * layers - number - 1, 2 * layers)
        watched = _Watched(checkpoint)
        model = llama.with_linear(watched)
        for at, each in enumerate(hidden.pop()):
            before = each.detach().requires_grad_()
            after = model.layer(number, before) if number < layers else _logarithm(model.logits(before), generator)
            gradients[at], *by_product = torch.autograd.grad(after, [before, *(seen[2] for seen in watched.seen)],
                                                             gradients[at])
            for (name, x, _), gradient in zip(watched.seen, by_product, strict=True):
                both = float((x.square().sum(-1) * gradient.square().sum(-1)).sum(dtype=torch.float64))
                found[name] += watched.squares[name] * both / (2 * count)
            watched.seen.clear()
    return dict(found)
