"""Compression with calibration: what it is of, what it saves, and that interruptions make no difference."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from golden.products import read_sealed
from host.calibrate.calibration import Calibration
from host.calibrate.inputs import Inputs
from host.calibrate.moments import from_bytes
from host.calibrate.sensitivity import sensitivities
from host.calibrate.tokens import calibration_tokens
from host.checkpoint.checkpoint import open_checkpoint
from host.compress.compress import compress
from host.compress.plan import Options
from host.compress.verify import inspect
from host.errors import UserError
from host.feedback.factor import Factor
from host.feedback.feedback import encode_feedback
from host.model.linear import FloatLinear
from host.model.llama import Llama
from host.packing import decode
from host.perplexity.calibrated import seedlm_feedback
from host.perplexity.passes import passed
from host.perplexity.variant import Variant
from tests.host.compress.toy import Stop, stopping

FEW = Calibration("self", sequences=4, length=24)
SMALL = Options("4,2,6")
LAYER = "model.layers.1"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers, width 64 and 128 tokens. It is not made by transformers, which takes seconds to import."""
    path, rng = tmp_path_factory.mktemp("tiny") / "model", np.random.default_rng(0)
    shapes = {"model.embed_tokens": (128, 64), "lm_head": (128, 64)}
    for layer in ("model.layers.0", "model.layers.1"):
        shapes |= {f"{layer}.self_attn.{part}_proj": (32 if part in "kv" else 64, 64) for part in "qkvo"}
        shapes |= {f"{layer}.mlp.gate_proj": (96, 64), f"{layer}.mlp.up_proj": (96, 64),
                   f"{layer}.mlp.down_proj": (64, 96)}
    tensors = {f"{name}.weight": rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    for norm in ("model.norm", *(f"model.layers.{number}.{part}_layernorm" for number in range(2)
                                 for part in ("input", "post_attention"))):
        tensors[f"{norm}.weight"] = np.exp(rng.normal(0, 0.5, 64)).astype(np.float32)
    path.mkdir()
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({
        "model_type": "llama", "vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": 1}))
    return path


@pytest.fixture(autouse=True)
def own_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.folders.BUILD", tmp_path / "build")


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    compress(model, folder / "out", SMALL, calibration=FEW, statistics=folder / "statistics", check=True)
    return folder


def test_a_matrix_is_encoded_for_its_input_in_the_compressed_model(model: Path, whole: Path) -> None:
    """The statistics are those of a plain forward pass through both models, and the codes are those for them."""
    plain, made = open_checkpoint(model), open_checkpoint(whole / "out")
    tokens = calibration_tokens(plain, FEW, "any")
    names = (f"{LAYER}.mlp.gate_proj.weight", f"{LAYER}.mlp.up_proj.weight")
    kept = from_bytes(read_sealed(whole / "statistics" / f"{LAYER}.mlp.gate_proj.npz") or b"", "statistics")

    class Seen:
        def __init__(self, read: Any) -> None:
            self.read, self.x = read, torch.empty(0)

        def __call__(self, asked: Any, x: torch.Tensor) -> list[torch.Tensor]:
            if tuple(asked) == names:
                self.x = x
            return [x @ torch.from_numpy(self.read(name)).T for name in asked]

    inputs = []
    for checkpoint in (made, plain):
        seen = Seen(checkpoint.matrix)
        Llama(plain, seen)(torch.from_numpy(tokens))
        inputs.append(seen.x.double().numpy())
    own = inputs[0].T @ inputs[0] / len(inputs[0])
    damped = own + 0.01 * np.trace(own) / len(own) * np.eye(len(own))
    drift = 0.5 * (inputs[1] - inputs[0]).T @ inputs[0] / len(inputs[0]) @ np.linalg.inv(damped)
    assert np.allclose(kept.own, own, rtol=1e-3, atol=1e-5)
    assert np.allclose(kept.drift, drift, rtol=1e-2, atol=1e-3)
    weights = plain.matrix(names[1]).astype(np.float64)
    stored = made.stored(names[1])
    (wanted,) = encode_feedback([weights + weights @ kept.drift.astype(np.float64)], SMALL.fmt,
                                Factor(kept.own, SMALL.fmt.c), exponent_biases=[stored.exponent_bias])
    assert np.array_equal(decode.weights(wanted), decode.weights(stored))


def test_the_table_of_perplexities_has_the_codes_of_a_compression(model: Path, whole: Path) -> None:
    plain, made = open_checkpoint(model), open_checkpoint(whole / "out")
    llama, tokens = Llama(plain), calibration_tokens(plain, FEW, "any")
    variant = Variant("calibrated", "", partial(seedlm_feedback, fmt=SMALL.fmt, drift=True), None, calibrated=True)
    found = passed(llama, plain, variant, tokens, tokens, lambda layers: None).weight_error
    names = [name for number in range(2) for group in llama.matrices(number) for name in group]
    squares = np.array([(np.square(decode.weights(made.stored(name)) - plain.matrix(name)).sum(),
                         np.square(plain.matrix(name).astype(np.float64)).sum()) for name in names]).sum(axis=0)
    assert found == pytest.approx(np.sqrt(squares[0] / squares[1]), rel=1e-12)  # sums in another order


def test_outputs_are_nearer(model: Path, whole: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "out", SMALL)
    plain = open_checkpoint(model)
    tokens = torch.from_numpy(calibration_tokens(plain, Calibration("self", 4, 24, seed=1), "any"))
    wanted = Llama(plain)(tokens)
    calibrated, exact = (float((Llama(open_checkpoint(folder))(tokens) - wanted).square().mean())
                         for folder in (whole / "out", tmp_path / "out"))
    assert calibrated < 0.85 * exact


@pytest.mark.parametrize("kept", [True, False], ids=["statistics kept", "statistics lost"])
def test_an_interruption_makes_no_difference(model: Path, whole: Path, tmp_path: Path, kept: bool) -> None:
    """The run ends in the second of two layers."""
    options, after = Options("4,2,6", slice_weights=1, shard_bytes=20_000), 6
    calls = 0

    def ending(work: Any, partial: Any) -> Any:
        nonlocal calls
        calls += 1
        yield from stopping(0 if calls == after else 1 << 30)(work, partial)

    first, second = tmp_path / "a", tmp_path / "b"
    with pytest.raises(Stop):
        compress(model, tmp_path / "out", options, calibration=FEW, statistics=first, runner=ending)
    compress(model, tmp_path / "out", options, calibration=FEW, statistics=first if kept else second)
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1
    for name in open_checkpoint(whole / "out").names():
        tensors = [open_checkpoint(folder).read(name) for folder in (tmp_path / "out", whole / "out")]
        assert np.array_equal(*tensors)


def test_the_folder_says_how_it_was_calibrated(model: Path, whole: Path) -> None:
    settings = json.loads((whole / "out" / "config.json").read_text())["quantization_config"]
    assert settings["calibration"] == {"text": "self", "sequences": 4, "length": 24, "seed": 0}
    assert settings["activation_aware"]
    card = (whole / "out" / "README.md").read_text()
    assert "| calibration | 4 sequences of 24 tokens that the model wrote itself, seed 0 |" in card
    assert "--calibrate self --sequences 4 --sequence-tokens 24" in card
    rows, notices = inspect(whole / "out")
    assert len(rows) == 15
    assert not notices


def test_other_statistics_are_refused(model: Path, whole: Path, tmp_path: Path) -> None:
    other = Calibration("self", sequences=5, length=24)
    with pytest.raises(Stop):
        compress(model, tmp_path / "out", SMALL, calibration=FEW, runner=stopping(2))
    for calibration in (other, None):
        with pytest.raises(UserError, match="unfinished run with another model or other options"):
            compress(model, tmp_path / "out", SMALL, calibration=calibration)
    with pytest.raises(UserError, match="holds statistics of this model that belong to other options"):
        compress(model, tmp_path / "third", SMALL, calibration=other, statistics=whole / "statistics")
    changed = tmp_path / "changed"
    changed.mkdir()
    for file in model.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    (changed / "generation_config.json").write_text("{}")
    with pytest.raises(UserError, match="holds statistics of another model"):
        compress(changed, tmp_path / "fourth", SMALL, calibration=FEW, statistics=whole / "statistics")


def test_a_mixture_of_formats_is_calibrated(model: Path, tmp_path: Path) -> None:
    """Matrices of one stage have several formats, each with a factor of its own, and an interruption makes no
    difference."""
    options = Options(formats="4,2,5 6,2,5", bits=3.7)
    compress(model, tmp_path / "out", options, calibration=FEW, statistics=tmp_path / "s")
    made, plain = open_checkpoint(tmp_path / "out"), open_checkpoint(model)
    formats = {name: made.stored(name).fmt.name for name in plain.compressible()}
    assert any(len({formats[name] for name in names}) == 2 for layer in range(2) for names in Llama.matrices(layer))
    for name in (f"{LAYER}.mlp.gate_proj.weight", f"{LAYER}.self_attn.q_proj.weight"):
        stored = made.stored(name)
        first = f"{LAYER}.self_attn.q_proj" if "attn" in name else f"{LAYER}.mlp.gate_proj"
        kept = from_bytes(read_sealed(tmp_path / "s" / f"{first}.npz") or b"", "statistics")
        weights = plain.matrix(name).astype(np.float64)
        (wanted,) = encode_feedback([weights + weights @ kept.drift.astype(np.float64)], stored.fmt,
                                    Factor(kept.own, stored.fmt.c), exponent_biases=[stored.exponent_bias])
        assert np.array_equal(decode.weights(wanted), decode.weights(stored))
    with pytest.raises(Stop):
        compress(model, tmp_path / "b", options, calibration=FEW, statistics=tmp_path / "t", runner=stopping(1))
    compress(model, tmp_path / "b", options, calibration=FEW, statistics=tmp_path / "t")
    assert all(np.array_equal(made.read(name), open_checkpoint(tmp_path / "b").read(name)) for name in made.names())


def test_sensitivities_are_those_of_all_gradients_at_once(model: Path) -> None:
    """The gradients that go back layer by layer are those of the whole model."""
    checkpoint, tokens = open_checkpoint(model), calibration_tokens(open_checkpoint(model), FEW, "any")

    class Seen:
        def __init__(self) -> None:
            self.seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

        def __call__(self, names: Any, x: torch.Tensor) -> list[torch.Tensor]:
            self.seen |= {name: (x, x @ torch.from_numpy(checkpoint.matrix(name)).T) for name in names}
            return [self.seen[name][1] for name in names]

    seen = Seen()
    whole = Llama(checkpoint, seen)
    hidden = whole.embed(torch.from_numpy(tokens)).requires_grad_()
    for number in range(2):
        hidden = whole.layer(number, hidden)
    predicted = whole.logits(hidden).log_softmax(-1).flatten(0, -2)
    drawn = torch.multinomial(predicted.detach().exp(), 1, generator=torch.Generator().manual_seed(0))
    gradients = torch.autograd.grad(predicted.gather(-1, drawn).sum(), [product for _, product in seen.seen.values()])
    seen.seen = {name: (x.detach(), product) for name, (x, product) in seen.seen.items()}
    found = sensitivities(checkpoint, tokens)
    assert found.keys() == seen.seen.keys()
    for (name, (x, _)), gradient in zip(seen.seen.items(), gradients, strict=True):
        mean = (x.square().sum(-1) * gradient.square().sum(-1)).sum() / (2 * tokens.size)
        assert found[name] == pytest.approx(float(mean) * float(np.square(checkpoint.matrix(name)).mean()), rel=1e-3)


def test_sensitivities_tell_the_divergence_that_noise_makes(model: Path) -> None:
    checkpoint, rng = open_checkpoint(model), np.random.default_rng(3)
    tokens = calibration_tokens(checkpoint, Calibration("self", 16, 64), "any")
    wanted = Llama(checkpoint)(torch.from_numpy(tokens)).log_softmax(-1)
    found = sensitivities(checkpoint, tokens)
    for part in ("1.self_attn.k_proj", "0.mlp.down_proj", "1.mlp.up_proj"):
        name = f"model.layers.{part}.weight"
        weights = checkpoint.matrix(name)
        noise = rng.normal(0, 0.03 * np.sqrt(np.square(weights).mean()), (8, *weights.shape)).astype(np.float32)

        def divergence(error: np.ndarray, name: str = name) -> float:
            noisy = FloatLinear(lambda asked: checkpoint.matrix(asked) + (error if asked == name else 0))
            made = Llama(checkpoint, noisy)(torch.from_numpy(tokens)).log_softmax(-1)
            return float((wanted.exp() * (wanted - made)).sum(-1).mean())

        assert np.mean(list(map(divergence, noise))) == pytest.approx(found[name] * 0.03 ** 2, rel=0.3)


def test_what_cannot_be_calibrated(model: Path, tmp_path: Path) -> None:
    def refused(match: str, calibration: Calibration | None = FEW, **more: Any) -> None:
        with pytest.raises(UserError, match=match):
            compress(model, tmp_path / "out", more.pop("options", SMALL), calibration=calibration, **more)

    (tmp_path / "short.txt").write_text("few words")
    (tmp_path / "no.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    refused("comes without a tokenizer", Calibration(str(tmp_path / "short.txt"), 4, 24))
    refused("is no text in UTF-8", Calibration(str(tmp_path / "no.txt"), 4, 24))
    refused("give a file of text, or self", Calibration(str(tmp_path / "none.txt")))
    refused("longer than the context", Calibration("self", 1, 4096))
    refused("leave out --weighting or --calibrate", weighting=tmp_path)
    refused("statistics belong to a calibration", None, statistics=tmp_path / "s")
    refused("holds something else than statistics", statistics=tmp_path / "full")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="one sequence or more of two tokens or more, not 0 of 512"):
        Calibration("self", 0)


def test_text_of_a_file_is_cut_into_sequences(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Letters:
        def __init__(self, checkpoint: Any) -> None:
            pass

        def encode(self, text: str) -> list[int]:
            return [ord(letter) for letter in text]

    monkeypatch.setattr("host.calibrate.tokens.Tokenizer", Letters)
    (tmp_path / "text").write_text("abcdefg")
    checkpoint = open_checkpoint(model)
    found = calibration_tokens(checkpoint, Calibration(str(tmp_path / "text"), 2, 3), "any")
    assert found.tolist() == [[97, 98, 99], [100, 101, 102]]
    with pytest.raises(UserError, match="has 7 tokens, fewer than the 8 of 2 sequences of 4: give a longer text"):
        calibration_tokens(checkpoint, Calibration(str(tmp_path / "text"), 2, 4), "any")


def test_the_text_of_a_model_is_its_own(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(model)
    first = calibration_tokens(checkpoint, FEW, "any")
    assert (first[:, 0] == 1).all()
    assert first.shape == (4, 24)
    monkeypatch.setattr("host.calibrate.tokens._generated", None)  # it is kept
    assert np.array_equal(calibration_tokens(checkpoint, FEW, "any"), first)
    monkeypatch.undo()
    assert not np.array_equal(calibration_tokens(checkpoint, Calibration("self", 4, 24, 1), "any"), first)


def test_without_a_start_token(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(model)
    config = {name: value for name, value in checkpoint.config().items() if name != "bos_token_id"}
    monkeypatch.setattr(checkpoint, "config", lambda: config)
    with pytest.raises(UserError, match="names no start token"):
        calibration_tokens(checkpoint, FEW, "other")


def test_the_matrix_of_the_logits_has_an_input(model: Path) -> None:
    checkpoint = open_checkpoint(model)
    inputs = Inputs(checkpoint, calibration_tokens(checkpoint, FEW, "any"))
    while inputs.number < inputs.layers:
        inputs.advance(checkpoint.matrix)
    found = inputs.moments((Llama(checkpoint).settings.head,), checkpoint.matrix)
    assert found.own.shape == (64, 64)
    assert not found.drift.any()
