"""The main job end to end in small: a made-up checkpoint through the RTL on a narrow bus, bit for bit."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden import fp16
from host.measure.layer import Job, layer_matrices, simulate
from host.measure.layer_steps import layer_steps
from host.measure.matrices import Matrix, gaussian_matrices
from host.tables.causes import CAUSES

HIDDEN, FFN, KV = 48, 96, 16
SHAPES = {"q_proj": (HIDDEN, HIDDEN), "k_proj": (KV, HIDDEN), "v_proj": (KV, HIDDEN), "o_proj": (HIDDEN, HIDDEN),
          "gate_proj": (FFN, HIDDEN), "up_proj": (FFN, HIDDEN), "down_proj": (HIDDEN, FFN)}
FORMATS = {"fp16": (16.0, 0.0, 0.001), "int8": (8.125, 0.0045, 0.0065), "int4": (4.125, 0.075, 0.1),
           "int3": (3.125, 0.15, 0.19), "seedlm4": (4.0, 0.105, 0.13), "seedlm3": (3.0, 0.20, 0.235)}
"""Bits a weight, and between what the relative error of a Gaussian matrix must lie."""
BUS_BYTES = 8


def padded(fmt: str, cols: int) -> int:
    """Columns as they are stored; those of the matrices are whole blocks, but fewer than a group of integers has."""
    return max(cols, 128) if fmt.startswith("int") else cols


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("llama"), np.random.default_rng(0)
    tensors = {"model.embed_tokens.weight": rng.normal(0, 0.02, (10, HIDDEN)).astype(np.float32)}
    for layer in range(2):
        for name, shape in SHAPES.items():
            group = "self_attn" if name[0] in "qkvo" else "mlp"
            tensors[f"model.layers.{layer}.{group}.{name}.weight"] = rng.normal(0, 0.02, shape).astype(np.float32)
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_layers_are_found_and_cut(checkpoint: Path) -> None:
    (whole, experts), (cut, _) = layer_matrices(str(checkpoint), 1), layer_matrices(str(checkpoint), 1, 5)
    assert not experts
    assert {matrix.name: matrix.weights.shape for matrix in whole} == SHAPES
    for matrix, part in zip(whole, cut, strict=True):
        assert np.array_equal(part.weights, matrix.weights[:5])
        assert np.array_equal(part.activations, matrix.activations)
    assert not np.array_equal(whole[0].weights, layer_matrices(str(checkpoint), 0)[0][0].weights)


def test_gaussian_matrices_are_always_the_same() -> None:
    small, large = gaussian_matrices((64, 128))
    assert (small.name, small.weights.shape, large.weights.shape) == ("64x64", (64, 64), (128, 128))
    assert large.weights.std() == pytest.approx(0.02, rel=0.05)
    assert np.array_equal(large.weights, gaussian_matrices((128,))[0].weights)


def test_a_layer(checkpoint: Path) -> None:
    matrices, _ = layer_matrices(str(checkpoint), 1)
    said: list[str] = []
    job = Job(tuple(FORMATS), "ideal", 8 * BUS_BYTES, "verilator")
    rows = simulate(job, matrices, update=lambda what, done, total: said.append(what))
    steps = [step.begins[0] for step in layer_steps(job, matrices, True)]
    named = list(dict.fromkeys(said))
    assert named == [step for step in steps if step in named]  # in this order
    assert all(": compress " in step for step in {*steps} - {*named})  # codes that are known already
    assert [(row.matrix, row.format) for row in rows] == [(name, fmt) for name in (*SHAPES, "layer")
                                                                for fmt in FORMATS]
    by_key = {(row.matrix, row.format): row for row in rows}
    for row in rows:
        assert row.bit_exact is True
        assert row.speedup == by_key[row.matrix, "fp16"].cycles / row.cycles
        assert (row.memory, row.simulator, row.source) == ("ideal", "verilator", "rtl")
        assert sum(getattr(row, cause.name) for cause in CAUSES) == row.cycles
        assert row.beats < row.cycles < 4 * row.beats  # rows this short wait for the lanes' latency
        assert 0 < row.limit_fraction <= 1
    for name, shape in SHAPES.items():
        for fmt, (bits, low, high) in FORMATS.items():
            row = by_key[name, fmt]
            assert (row.rows, row.cols) == shape
            cols = padded(fmt, shape[1])
            assert row.bits_per_weight == bits * cols / shape[1]
            assert low <= row.relative_error <= high
            assert row.beats * BUS_BYTES == bits / 8 * shape[0] * cols + 2 * cols
            assert row.bytes == row.beats * BUS_BYTES + 4 * shape[0]
    for fmt, (bits, _, _) in FORMATS.items():
        layer, parts = by_key["layer", fmt], [by_key[name, fmt] for name in SHAPES]
        assert (layer.rows, layer.cols, layer.relative_error) == (None, None, None)
        stored = sum(bits * shape[0] * padded(fmt, shape[1]) for shape in SHAPES.values())
        assert layer.bits_per_weight == pytest.approx(stored / sum(rows * cols for rows, cols in SHAPES.values()))
        # k, v and up share their vectors with others, and every matrix but the first has a descriptor.
        shared, descriptors = 3 * 2 * padded(fmt, HIDDEN), 6 * 64
        assert layer.bytes == sum(part.bytes for part in parts) - shared + descriptors
        assert layer.cycles < sum(part.cycles for part in parts)
    assert by_key["layer", "fp16"].speedup == 1
    assert by_key["layer", "seedlm4"].speedup > 1.8  # of 4: these are small


def test_narrow_activations(checkpoint: Path) -> None:
    matrices = layer_matrices(str(checkpoint), 0, 8)[0][:1]
    rows = simulate(Job(("int4", "seedlm4"), "ideal", 8 * BUS_BYTES, "verilator", 8), matrices, False)
    assert [(row.format, row.bit_exact) for row in rows] == [("int4", True), ("seedlm4", True)]


def test_a_result_that_differs_is_seen(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign of the last weight of the last matrix, in golden alone."""
    def wrong(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
        weights = weights.copy()
        if weights.shape == SHAPES["v_proj"]:
            weights[-1, -1] *= -1
        return right(weights, x)

    right = fp16.matvec
    monkeypatch.setattr(fp16, "matvec", wrong)
    matrices = [Matrix("q", np.full((3, 5), 0.5, np.float32)), Matrix("v", np.full(SHAPES["v_proj"], 0.5, np.float32))]
    rows = simulate(Job(("fp16",), "ideal", 8 * BUS_BYTES, "verilator"), matrices)
    assert [(row.matrix, row.bit_exact) for row in rows] == [("q", True), ("v", False), ("layer", False)]
