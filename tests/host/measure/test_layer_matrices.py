"""Layers of checkpoints of every family: their matrices as transformers has them, and some of them through the RTL."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from host.checkpoint.checkpoint import open_checkpoint
from host.errors import UserError
from host.measure.config_shape import shape_of_file
from host.measure.layer import Job, layer_matrices, simulate
from host.measure.layer_matrices import head_of, shape_of_checkpoint, stored_layer
from host.measure.models import find_model
from host.measure.stored_point import stored_weights
from host.measure.sweep import Sweep, points_of
from host.measure.sweep_point import measured

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.host.models import tiny  # noqa: E402  transformers is there


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of every family, as transformers saves it."""
    folder = tmp_path_factory.mktemp("families")
    made = {family: folder / family.replace(" ", "-") for family in tiny.FAMILIES}
    for family, path in made.items():
        tiny.tiny(family).save_pretrained(path)
    return made


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_checkpoint_has_the_shape_that_its_config_says(family: str, folders: dict[str, Path]) -> None:
    found, said = find_model(str(folders[family])), shape_of_file(folders[family] / "config.json")
    assert [(kind.name, kind.numbers, kind.matrices) for kind in found.kinds] == [
        (kind.name, kind.numbers, kind.matrices) for kind in said.kinds]
    assert (found.vocab, found.hidden, found.caches) == (said.vocab, said.hidden, said.caches)
    assert found.path == folders[family]


@pytest.mark.parametrize(("family", "layer", "name", "tensor"), [
    ("gpt2", 1, "c_attn", lambda model: model.transformer.h[1].attn.c_attn.weight.T),
    ("gpt2", 0, "mlp.c_proj", lambda model: model.transformer.h[0].mlp.c_proj.weight.T),
    ("phi3", 1, "gate_up_proj", lambda model: model.model.layers[1].mlp.gate_up_proj.weight),
    ("gpt-oss", 1, "experts.1.gate_up_proj", lambda model: model.model.layers[1].mlp.experts.gate_up_proj[1].T),
    ("gpt-oss", 0, "experts.0.down_proj", lambda model: model.model.layers[0].mlp.experts.down_proj[0].T),
    ("gpt-oss", 0, "router", lambda model: model.model.layers[0].mlp.router.weight),
    ("mixtral", 1, "experts.1.w3", lambda model: model.model.layers[1].mlp.experts.gate_up_proj[1, 96:]),
    ("mixtral", 1, "experts.0.w2", lambda model: model.model.layers[1].mlp.experts.down_proj[0]),
    ("deepseek-v2", 1, "shared_experts.up_proj", lambda model: model.model.layers[1].mlp.shared_experts.up_proj.weight),
    ("deepseek-v2", 0, "kv_b_proj", lambda model: model.model.layers[0].self_attn.kv_b_proj.weight),
])
def test_weights_are_transformers(family: str, layer: int, name: str, tensor, folders: dict[str, Path]) -> None:  # type: ignore[no-untyped-def]
    wanted = tensor(tiny.tiny(family)).detach().numpy()
    matrices, _ = layer_matrices(str(folders[family]), layer)
    assert np.array_equal(next(matrix for matrix in matrices if matrix.name == name).weights, wanted)
    cut, _ = layer_matrices(str(folders[family]), layer, 3)
    assert np.array_equal(next(matrix for matrix in cut if matrix.name == name).weights, wanted[:3])


def test_inputs_are_shared(folders: dict[str, Path]) -> None:
    matrices, experts = layer_matrices(str(folders["mixtral"]), 0)
    assert experts == "experts 0 to 1 of 4, for the 2 that a token uses"
    vectors = {matrix.name: matrix.activations for matrix in matrices}
    assert list(vectors) == ["q_proj", "k_proj", "v_proj", "o_proj", "gate", "experts.0.w1", "experts.0.w3",
                             "experts.0.w2", "experts.1.w1", "experts.1.w3", "experts.1.w2"]
    for first, others in (("q_proj", ("k_proj", "v_proj")), ("gate", ("experts.0.w1", "experts.0.w3", "experts.1.w3"))):
        assert all(vectors[name] is vectors[first] for name in others)
    assert vectors["o_proj"] is not vectors["q_proj"]
    assert vectors["gate"] is not vectors["q_proj"]
    assert not np.array_equal(vectors["experts.0.w2"], vectors["experts.1.w2"])


@pytest.mark.parametrize("family", ["mixtral", "gpt2", "deepseek-v3", "gpt-oss"])
def test_a_layer_in_rtl(family: str, folders: dict[str, Path]) -> None:
    matrices, _ = layer_matrices(str(folders[family]), 1, 8)
    rows = simulate(Job(("seedlm4",), "ideal", 64, "verilator"), matrices)
    assert [row.matrix for row in rows] == [*(matrix.name for matrix in matrices), "layer"]
    assert all(row.bit_exact for row in rows)


def test_a_point_on_a_checkpoints_weights(folders: dict[str, Path]) -> None:
    model = find_model(str(folders["deepseek-v2"]))
    points = points_of(Sweep((model,), ("seedlm4",), ("ideal",), ("layer", "all"), bus_bits=64))
    assert [(point.matrix, point.layer) for point in points[:3]] == [("layer", 0), ("layer 1", 1), ("q_a_proj", 0)]
    sparse = points[1]
    assert measured(sparse, stored_weights(sparse))["bit_exact"] is True
    assert "experts.1.down_proj" in stored_weights(sparse)
    head = points[-1]
    assert (head.matrix, list(stored_weights(head))) == ("lm_head", ["lm_head"])
    with pytest.raises(UserError, match=r"no layer 2 in .*, which has 2 layers: choose another with --layer"):
        points_of(Sweep((model,), ("seedlm4",), ("ideal",), layer=2))


def changed(source: Path, folder: Path, tensors: dict[str, np.ndarray | None], **settings: object) -> Path:
    """A copy of a checkpoint with other tensors, None for none, and other settings."""
    folder.mkdir()
    kept = load_file(source / "model.safetensors") | tensors
    save_file({name: value for name, value in kept.items() if value is not None}, folder / "model.safetensors")
    config = json.loads((source / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(("tensors", "settings", "message"), [
    ({}, {"num_experts_per_tok": 5}, "num_experts_per_tok must be at most 4, the number of experts, not 5"),
    ({}, {"num_experts_per_tok": None}, "num_experts_per_tok must be a whole number .*: put the model's own config.j"),
    ({"model.layers.0.block_sparse_moe.experts.2.w1.weight": None}, {}, "experts of a layer of .* are not complete"),
    ({"model.layers.0.block_sparse_moe.experts.2.w1.weight": np.ones((9, 64), np.float32)}, {},
     "experts.2.w1.weight in .* has another shape than the same of other experts"),
])
def test_experts_that_are_refused(tensors: dict[str, np.ndarray | None], settings: dict[str, object], message: str,
                                  folders: dict[str, Path], tmp_path: Path) -> None:
    path = changed(folders["mixtral"], tmp_path / "m", tensors, **settings)
    with pytest.raises(UserError, match=message) as raised:
        layer_matrices(str(path), 0)
    assert "\n" not in str(raised.value)


def test_layers_that_are_not_there(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no layer 2 in .*llama, which has layers up to 1: choose another"):
        layer_matrices(str(folders["llama"]), 2)
    save_file({"weight": np.ones((2, 2), np.float32)}, tmp_path / "n.safetensors")
    checkpoint = open_checkpoint(tmp_path / "n.safetensors")
    for function in (lambda: stored_layer(checkpoint, 0), lambda: shape_of_checkpoint(checkpoint)):
        with pytest.raises(UserError, match=r"no layer 0 in .*, which has no decoder layers"):
            function()
    with pytest.raises(UserError, match=r"has neither lm_head.weight nor embed_tokens.weight"):
        head_of(checkpoint)
    short = changed(folders["llama"], tmp_path / "short", {}, num_hidden_layers=3)
    with pytest.raises(UserError, match=r"is of 3 layers, and the tensors are of 2"):
        find_model(str(short))


def test_a_family_that_is_not_known(tmp_path: Path) -> None:
    """All matrices of a layer stream; those whose role is not known have vectors of their own."""
    parts = ("attention.self.query", "attention.self.key", "attention.output.dense", "intermediate.dense",
             "output.dense")
    save_file({f"encoder.layer.0.{part}.weight": np.ones((8, 8), np.float32) for part in parts},
              tmp_path / "bert.safetensors")
    matrices, _ = layer_matrices(str(tmp_path / "bert.safetensors"), 0)
    assert [(matrix.name, matrix.input) for matrix in matrices] == [
        ("query", "query"), ("key", "query"), *((name, name) for name in ("attention.output.dense",
                                                                        "intermediate.dense", "output.dense"))]
    save_file({"blocks.0.conv.weight": np.ones((2, 2, 2), np.float32),
               "blocks.0.a.weight": np.ones((8, 8), np.float32)}, tmp_path / "conv.safetensors")
    with pytest.raises(UserError, match=r"is of no known family, and blocks.0.conv.weight has more than two"):
        layer_matrices(str(tmp_path / "conv.safetensors"), 0)


def test_towers_are_no_layers(folders: dict[str, Path], tmp_path: Path) -> None:
    tower = {f"vision_tower.encoder.layers.{layer}.self_attn.q_proj.weight": np.ones((8, 8), np.float32)
             for layer in range(5)}
    path = changed(folders["llama"], tmp_path / "m", dict(tower))
    assert find_model(str(path)).kinds == find_model(str(folders["llama"])).kinds


@pytest.mark.parametrize("lost", ["self_attn.v_proj", "mlp.down_proj"])
def test_a_layer_that_lacks_a_matrix_is_refused(lost: str, folders: dict[str, Path], tmp_path: Path) -> None:
    path = changed(folders["llama"], tmp_path / "m", {f"model.layers.1.{lost}.weight": None})
    layer_matrices(str(path), 0)
    with pytest.raises(UserError, match=rf"layer 1 of .* has no {lost.partition('.')[2]}: download the model again"):
        layer_matrices(str(path), 1)
    with pytest.raises(UserError, match="download the model again"):
        shape_of_checkpoint(open_checkpoint(path))


def unknown(folder: Path, settings: dict[str, object], more: dict[str, tuple[int, ...]]) -> Path:
    """A checkpoint of two layers and no known family."""
    shapes = {f"model.layers.{layer}.self_attn.{part}_proj.weight": (64, 64) for layer in (0, 1) for part in "qkvo"}
    folder.mkdir()
    save_file({name: np.ones(shape, np.float32) for name, shape in (
        shapes | {"lm_head.weight": (128, 64)} | more).items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "new", "num_hidden_layers": 2} | settings))
    return folder


@pytest.mark.parametrize(("settings", "windows"), [
    ({}, {None: 2}), ({"sliding_window": None}, {None: 2}),
    ({"sliding_window": 8, "use_sliding_window": False}, {None: 2}),
    ({"sliding_window": 8, "layer_types": ["full_attention", "sliding_attention"]}, {None: 1, 8: 1}),
    ({"sliding_window": 8, "layer_types": ["sliding_attention"] * 2}, {8: 2})])
def test_windows_of_an_unknown_family(settings: dict[str, object], windows: dict[int | None, int],
                                      tmp_path: Path) -> None:
    shape = find_model(str(unknown(tmp_path / "new", settings, {})))
    assert {cache.window: cache.layers for cache in shape.caches} == windows
    assert all(cache.values == 128 for cache in shape.caches)


@pytest.mark.parametrize(("settings", "message"), [
    ({"sliding_window": 8}, "sliding_window is there, and no layer_types that say which layers have"),
    ({"layer_types": ["full_attention", "chunked_attention"]}, "is 'chunked_attention', and neither"),
    ({"layer_types": ["full_attention"]}, "must have 2 values")])
def test_windows_that_nobody_knows(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        find_model(str(unknown(tmp_path / "new", settings, {})))


def test_a_stack_of_an_unknown_family_is_never_left_out(tmp_path: Path) -> None:
    """Whatever it is called: its weights would be missing in what a token reads."""
    folder = unknown(tmp_path / "new", {}, {"model.layers.0.moe.experts.gate_up": (4, 64, 64)})
    with pytest.raises(UserError, match=r"moe\.experts\.gate_up has more than two dimensions"):
        find_model(str(folder))
