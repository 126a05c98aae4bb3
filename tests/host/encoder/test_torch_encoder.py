"""The search in PyTorch, on the processor, against the C kernel."""

import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.spec import SEEDLM4, BlockFormat
from host.checkpoint.container import open_compressed
from host.compress.compress import compress
from host.compress.plan import Options
from host.encoder.encoder import Mode, encode
from host.encoder.torch_encoder import encode_torch
from host.errors import UserError


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pip install 'seedlm-fpga\[torch\]'"):
        encode_torch(np.ones((1, 8)), SEEDLM4)


class TestWithPyTorch:
    @pytest.fixture(autouse=True)
    def torch(self) -> None:
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")

    @pytest.mark.parametrize("mode", get_args(Mode))
    @pytest.mark.parametrize("fmt", [SEEDLM4, BlockFormat(7, 2, 9, 3), BlockFormat(5, 1, 6), BlockFormat(6, 4, 8, 2),
                                     BlockFormat(4, 2, 17)], ids=lambda fmt: fmt.name)
    def test_its_errors_are_the_kernels(self, fmt: BlockFormat, mode: Mode) -> None:
        weights = np.random.default_rng(0).normal(0, 0.02, (3, 8 * fmt.c - 1)).astype(np.float32)
        weights[1] *= 1e-3
        weights[2, :2 * fmt.c] = 0
        wanted, found = encode(weights, fmt, mode), encode_torch(weights, fmt, mode, device="cpu", batch=5)

        def errors(restored: np.ndarray) -> np.ndarray:
            return np.square(np.pad(restored - weights, ((0, 0), (0, 1)))).reshape(-1, fmt.c).sum(axis=1)

        assert found.exponent_bias == wanted.exponent_bias
        assert np.allclose(errors(found.weights()), errors(wanted.weights()), rtol=1e-9, atol=1e-20)

    def test_whole_models(self, tmp_path: Path) -> None:
        weights = np.random.default_rng(0).normal(0, 0.02, (40, 50)).astype(np.float32)
        save_file({"up_proj.weight": weights}, tmp_path / "m.safetensors")
        options = Options("8,3,8", device="cpu")
        compress(tmp_path / "m.safetensors", tmp_path / "out", options, check=True)
        error = open_compressed(tmp_path / "out").compressed["up_proj.weight"].error
        wanted = encode(weights, options.fmt).weights()
        assert error == pytest.approx(np.linalg.norm(wanted - weights) / np.linalg.norm(weights), rel=1e-5)
        with pytest.raises(UserError, match="channel weights need the encoder for processors"):
            compress(tmp_path / "m.safetensors", tmp_path / "other", options, weighting=tmp_path)

    def test_progress_ends_at_all_blocks(self) -> None:
        calls: list[tuple[int, int]] = []
        encode_torch(np.ones((3, 20)), BlockFormat(4, 2, 5), device="cpu", batch=4,
                     progress=lambda *counts: calls.append(counts))
        assert calls[-1] == (15, 15)

    @pytest.mark.parametrize(("weights", "fmt", "device", "message"), [
        (np.ones((2, 8), np.int8), SEEDLM4, "cpu", "not int8"),
        (np.array([[np.nan]]), SEEDLM4, "cpu", "the weights contain NaN or infinity"),
        (np.ones((2, 8)), BlockFormat(8, 6, 8), "cpu", "too many coefficients for PyTorch"),
        (np.ones((2, 8)), SEEDLM4, "cuda:77", "no CUDA device")])
    def test_unusable_input(self, weights: np.ndarray, fmt: BlockFormat, device: str, message: str) -> None:
        import torch

        if device.startswith("cuda") and torch.cuda.is_available():
            pytest.skip("there is a CUDA device")
        with pytest.raises(UserError, match=message):
            encode_torch(weights, fmt, device=device)
