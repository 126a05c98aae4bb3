"""Models that transformers has loaded, compared."""

from typing import Any

import torch

from tests.host.models.tiny import logits

__all__ = ["require_equal", "streams", "value"]


def value(model: Any, name: str) -> torch.Tensor:
    """A tensor of a model by its name in an ordinary one; a stream is decoded."""
    path, _, last = name.rpartition(".")
    found: torch.Tensor = getattr(model.get_submodule(path), last)
    return found


def streams(model: Any) -> dict[str, torch.Tensor]:
    """The packed streams that a model holds."""
    return {name: buffer for name, buffer in model.named_buffers() if buffer.dtype == torch.uint8}


def require_equal(model: Any, wanted: Any) -> None:
    """All tensors and the logits of an ordinary model are those of the other one, to the bit."""
    for name, tensor in wanted.state_dict().items():
        found = value(model, name)
        assert found.dtype == tensor.dtype, name
        assert torch.equal(found, tensor), name
    assert torch.equal(logits(model), logits(wanted))
