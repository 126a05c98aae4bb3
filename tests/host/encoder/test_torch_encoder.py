"""The search in PyTorch, on the processor, against the C kernel."""

import json
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.projection import u_matrix
from golden.spec import SEEDLM4, BlockFormat
from host.checkpoint.container import open_compressed
from host.cli.main import main
from host.compress.compress import compress
from host.compress.plan import Options
from host.encoder.encoder import Mode, encode
from host.encoder.torch_encoder import encode_torch
from host.errors import UserError


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pip install '\.\[torch\]'"):
        encode_torch(np.ones((1, 8)), SEEDLM4)


class TestWithPyTorch:
    @pytest.mark.parametrize("mode", get_args(Mode))
    @pytest.mark.parametrize("fmt", [SEEDLM4, BlockFormat(7, 2, 9, 3), BlockFormat(5, 1, 6), BlockFormat(6, 4, 8, 2),
                                     BlockFormat(4, 2, 17)], ids=lambda fmt: fmt.name)
    def test_its_errors_are_the_kernels(self, fmt: BlockFormat, mode: Mode) -> None:
        weights = np.random.default_rng(0).normal(0, 0.02, (3, 8 * fmt.c - 1)).astype(np.float32)
        weights[1] *= 1e-3
        weights[2, :2 * fmt.c] = 0
        wanted = encode(weights, fmt, mode)
        found = encode_torch(weights, fmt, mode, device="cpu", memory=12 * 8 << fmt.k)  # five blocks at a time

        def errors(restored: np.ndarray) -> np.ndarray:
            return np.square(np.pad(restored - weights, ((0, 0), (0, 1)))).reshape(-1, fmt.c).sum(axis=1)

        assert found.exponent_bias == wanted.exponent_bias
        assert np.allclose(errors(found.weights()), errors(wanted.weights()), rtol=1e-9, atol=1e-20)

    @pytest.mark.parametrize("fmt", [SEEDLM4, BlockFormat(7, 2, 9, 3)], ids=lambda fmt: fmt.name)
    def test_blocks_whose_best_seeds_have_no_near_code(self, fmt: BlockFormat) -> None:
        """Where columns of U are nearly dependent, some directions lie in their span but far from every code."""
        u = u_matrix(np.arange(1, fmt.seeds + 1), fmt)
        left, values, _ = np.linalg.svd(u, full_matrices=False)
        weights = left[np.argsort(values[:, -1])[:60], :, -1].reshape(6, -1).astype(np.float32)
        found, wanted = (np.square(one.weights() - weights) for one in
                         (encode_torch(weights, fmt, device="cpu"), encode(weights, fmt)))
        assert np.array_equal(found, wanted)

    @pytest.mark.parametrize("fmt", [SEEDLM4, BlockFormat(12, 4, 9)], ids=lambda fmt: fmt.name)
    @pytest.mark.parametrize("short", [True, False])
    def test_bounds_hold(self, fmt: BlockFormat, short: bool) -> None:
        """No residual is higher than what a seed really leaves, but for the slack; and the slack is not wasteful."""
        import torch

        from host.encoder.torch_tables import TILE, tables

        known = tables(fmt, 1, "cpu", torch.float16 if short else torch.float64)
        blocks = torch.from_numpy(np.random.default_rng(0).normal(0, 0.02, (40, fmt.c)))
        q, _ = known.basis(torch.arange(fmt.seeds))
        energy = torch.einsum("scp,nc->nsp", q, blocks).square().sum(dim=2) / blocks.square().sum(dim=1, keepdim=True)
        least = known.least(blocks).flatten(1)
        assert least.shape[1] % TILE == 0
        allowed = known.highest((1 - energy).T).T
        assert (least[:, :fmt.seeds] <= allowed).all()
        assert (least[:, fmt.seeds:] > known.highest(torch.tensor([1e9]))).all()  # what fills the last tile is no seed
        assert ((allowed - (1 - energy)).amax(dim=1) < 2e-3).all()
        assert known.slack < 4e-4

    def test_weights_on_the_device(self) -> None:
        import torch

        weights = np.random.default_rng(0).normal(0, 0.02, (3, 21)).astype(np.float32)
        fmt = BlockFormat(8, 3, 8)
        before = torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
        for given in (torch.from_numpy(weights), torch.from_numpy(weights).requires_grad_()):
            found, wanted = encode_torch(given, fmt, device="cpu"), encode_torch(weights, fmt, device="cpu")
            assert np.array_equal(found.packed(), wanted.packed())
        half = torch.from_numpy(weights).bfloat16()
        assert np.array_equal(encode_torch(half, fmt, device="cpu").packed(),
                              encode_torch(half.float().numpy(), fmt, device="cpu").packed())
        assert torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction is before
        with pytest.warns(UserWarning, match="all weights are zero now: the greatest, 1e-30"):
            encode_torch(torch.full((1, 8), 1e-30).requires_grad_(), fmt, device="cpu", exponent_bias=0)
        for unusable, message in ((torch.ones(3), "not torch.float32 of shape"), (torch.ones(2, 8, dtype=torch.int8),
                                  "not torch.int8"), (torch.full((1, 8), torch.nan), "contain NaN")):
            with pytest.raises(UserError, match=message):
                encode_torch(unusable, fmt, device="cpu")

    def test_the_benchmark(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("host.folders.REPORTS", tmp_path)
        monkeypatch.setattr("host.quality.bench_device._COPIES", 1)
        monkeypatch.setattr("host.quality.bench_device._DECODED", {"cpu": 1 << 16})
        monkeypatch.setattr(sys, "argv", ["host", "bench-encode", "--device", "cpu", "--formats", "8,3,8", "--blocks",
                                          "600", "--modes", "exact paper"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        rows = json.loads((tmp_path / "bench-encode-device" / "report.json").read_text())["results"]
        assert [(row["mode"], row["checked"], row["device"]) for row in rows] == [
            ("exact", 256, "cpu"), ("paper", 256, "cpu")]
        assert all(row["blocks_per_s"] > 0 and row["cpu_ratio"] > 0 and not row["different"] for row in rows)

    def test_whole_models(self, tmp_path: Path) -> None:
        weights = np.random.default_rng(0).normal(0, 0.02, (40, 50)).astype(np.float32)
        save_file({"up_proj.weight": weights}, tmp_path / "m.safetensors")
        options = Options("8,3,8", device="cpu")
        compress(tmp_path / "m.safetensors", tmp_path / "out", options, check=True)
        error = open_compressed(tmp_path / "out").compressed["up_proj.weight"].error
        wanted = encode(weights, options.fmt).weights()
        assert error == pytest.approx(np.linalg.norm(wanted - weights) / np.linalg.norm(weights), rel=1e-5)

    def test_progress_ends_at_all_blocks(self) -> None:
        calls: list[tuple[int, int]] = []
        encode_torch(np.ones((3, 20)), BlockFormat(4, 2, 5), device="cpu", memory=10 * 8 << 5,
                     progress=lambda *counts: calls.append(counts))
        assert calls[-1] == (15, 15)

    @pytest.mark.parametrize(("weights", "fmt", "device", "message"), [
        (np.ones((2, 8), np.int8), SEEDLM4, "cpu", "not int8"),
        (np.array([[np.nan]]), SEEDLM4, "cpu", "the weights contain NaN or infinity"),
        (np.ones((2, 8)), BlockFormat(5, 6, 8), "cpu", "more coefficients than weights"),
        (np.ones((2, 8)), SEEDLM4, "meta", r"device 'meta' \(the search is for CUDA devices\): give cuda"),
        (np.ones((2, 8)), SEEDLM4, "gpu", r"cannot use the device 'gpu' \(.*\): give cuda, .* leave out --device"),
        (np.ones((2, 8)), SEEDLM4, "cuda:77", "cannot use the device 'cuda:77'")])
    def test_unusable_input(self, weights: np.ndarray, fmt: BlockFormat, device: str, message: str) -> None:
        with pytest.raises(UserError, match=message):
            encode_torch(weights, fmt, device=device)

    def test_what_the_caller_has_set_changes_nothing(self) -> None:
        """Neither types and devices of tensors, nor precision; and it is as it was when the search has ended."""
        import torch

        from host.encoder import torch_tables

        matmul, fmt = torch.backends.cuda.matmul, BlockFormat(6, 2, 7)
        weights = np.random.default_rng(0).normal(0, 0.02, (3, 60)).astype(np.float32)
        wanted, pinned = encode_torch(weights, fmt, device="cpu"), list[bool]()

        def progress(done: int, total: int) -> None:
            encode_torch(weights[:1], fmt, device="cpu")  # as another thread might meanwhile
            pinned.append(matmul.allow_fp16_reduced_precision_reduction)

        torch_tables._kept.cache_clear()  # tables are made anew, in these circumstances
        assert matmul.allow_fp16_reduced_precision_reduction
        torch.set_float32_matmul_precision("medium")
        torch.set_default_dtype(torch.float16)
        try:
            with torch.device("meta"), torch.autocast("cpu", dtype=torch.bfloat16):
                found = encode_torch(weights, fmt, device="cpu", progress=progress)
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            torch.set_default_dtype(torch.float32)
            torch.set_float32_matmul_precision("highest")
        assert np.array_equal(found.packed(), wanted.packed())
        assert pinned == [False]
        assert matmul.allow_fp16_reduced_precision_reduction

    def test_tables_are_made_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each device keeps its own. Where one cannot keep all, each is used for all blocks before the next is made."""
        from host.encoder import torch_tables

        made: list[tuple[int, str]] = []

        class Counted(torch_tables.Tables):
            def __init__(self, fmt: BlockFormat, first: int, *, device: str, dtype: Any) -> None:
                made.append((first, device))
                super().__init__(fmt, first, device, dtype)

        monkeypatch.setattr(torch_tables, "Tables", Counted)
        monkeypatch.setattr(torch_tables, "_SEGMENT", 64)
        torch_tables._kept.cache_clear()
        weights = np.random.default_rng(0).normal(0, 0.02, (5, 12)).astype(np.float32)
        small, large = BlockFormat(4, 2, 6), BlockFormat(4, 2, 9)
        devices = [f"cpu:{n}" for n in range(6)]
        for device in (*devices, *devices):
            encode_torch(weights, small, device=device)
        assert made == [(1, device) for device in devices]
        made.clear()
        counts: list[tuple[int, int]] = []
        found = encode_torch(weights, large, device="cpu", memory=1, progress=lambda *told: counts.append(told))
        assert [first for first, _ in made] == list(range(1, 512, 64))
        assert counts == [(n, 8 * 15) for n in range(1, 8 * 15 + 1)]
        assert np.allclose(found.weights(), encode(weights, large).weights(), rtol=0, atol=1e-15)
        torch_tables._kept.cache_clear()

    def test_too_little_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        def full(*given: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

        monkeypatch.setattr("host.encoder.torch_tables.tables", full)
        with pytest.raises(UserError, match=r"^cpu has not enough memory left for a search in 5 GB: give less of it"):
            encode_torch(np.ones((2, 8)), SEEDLM4, device="cpu", memory=5_000_000_000)
