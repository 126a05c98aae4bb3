"""The trellis search in PyTorch, on the processor, against the C kernel."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from golden.spec import TRELLIS3, TRELLIS4, TrellisFormat
from host.errors import UserError
from host.trellis.encoder import encode
from host.trellis.torch_encoder import encode_torch


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tensors this small only wait for each other where several threads share them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("fmt", "weighted"), [(TRELLIS4, False), (TRELLIS3, True)], ids=["plain", "weighted"])
def test_its_errors_are_the_kernels(fmt: TrellisFormat, weighted: bool) -> None:
    """In batches of two and one rows, and beyond the step at which sums are made small again."""
    random = np.random.default_rng(0)
    weights, columns = random.normal(0, 0.02, (3, 50)), random.uniform(0, 3, 50) if weighted else None
    weights[1] = 0
    done: list[tuple[int, int]] = []
    found, wanted = (each.weights() for each in (
        encode_torch(weights, fmt, channel_weights=columns, device="cpu", memory=210_000,
                     progress=lambda *rows: done.append(rows)), encode(weights, fmt, channel_weights=columns)))
    errors = [np.square((each - weights) * (1 if columns is None else columns)).sum(axis=1) for each in (found, wanted)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-5, abs=0)
    assert not found[1].any()
    assert done == [(2, 3), (3, 3)]


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pip install '\.\[torch\]'"):
        encode_torch(np.ones((1, 8)), TRELLIS4)
