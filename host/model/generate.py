"""Text that a model goes on with, token by token."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from host.errors import UserError
from host.model.attention import Cache
from host.model.llama import Llama

__all__ = ["Choose", "Step", "generate", "greedy", "sampler"]

Choose = Callable[[Tensor], int]
"""Chooses a token by its logits, float32, (vocabulary,)."""


class Step(NamedTuple):
    """A token that was generated, and the logits, (vocabulary,), that it was chosen by."""

    token: int
    logits: Tensor


def greedy(logits: Tensor) -> int:
    """Choose the likeliest token; the first one where several are."""
    return int(logits.argmax())


def sampler(temperature: float, seed: int) -> Choose:
    """Return what draws tokens at random, always the same ones for a seed.

    Parameters
    ----------
    temperature : float
        What logits are divided by, above 0. At 1, a token is drawn as often as its probability says.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(logits: Tensor) -> int:
        return int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))

    return draw


def generate(llama: Llama, prompt: Sequence[int], count: int, choose: Choose = greedy, ends: Collection[int] = (),
             kept: Cache | None = None) -> Iterator[Step]:
    """Yield what follows a prompt, each token once it is chosen.

    Parameters
    ----------
    prompt : sequence of int
        Tokens, at least one.
    count : int
        Tokens that are generated at most.
    ends : collection of int
        Tokens after which nothing follows.
    kept : Cache, optional
        Keys and values of the first tokens of the prompt, but not of the last.

    Raises
    ------
    UserError
        When the prompt is empty, or the text would be longer than the model's context.
    """
    if not prompt:
        raise UserError("the prompt has no tokens: give a text")
    llama.require_context(len(prompt) + count - 1)
    kept = llama.new_cache() if kept is None else kept
    pending = list(prompt[kept.length:])
    for _ in range(count):
        logits = llama(torch.tensor([pending]), kept, last=True)[0, -1]
        step = Step(choose(logits), logits)
        yield step
        if step.token in ends:
            return
        pending = [step.token]
