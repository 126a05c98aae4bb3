"""Perplexity of a tiny model with many codes: scores beside transformers, what is kept, what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from host.checkpoint.checkpoint import Checkpoint, open_checkpoint
from host.compress.compress import compress
from host.compress.plan import Options
from host.errors import UserError
from host.perplexity import kept
from host.perplexity.measurement import Measurement, Scored
from host.perplexity.perplexity import measure
from host.perplexity.stored_bits import bits_per_weight, model_bits
from host.perplexity.variant import SHIPPED
from host.perplexity.variants import VARIANTS
from tests.host.models.tiny import tiny

WINDOWS = np.random.default_rng(0).integers(0, 128, (3, 24))
CALIBRATION = np.random.default_rng(1).integers(0, 128, (2, 32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose predictions are no longer those of chance."""
    path = tmp_path_factory.mktemp("tiny")
    model = tiny("llama")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter *= 4
    model.save_pretrained(path)
    return path


@pytest.fixture
def checkpoint(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    monkeypatch.setattr(kept, "kept_folder", lambda name: tmp_path)
    return open_checkpoint(folder)


def test_perplexity_is_that_of_transformers(checkpoint: Checkpoint, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokens = torch.from_numpy(WINDOWS)
    with torch.no_grad():
        wanted = float(model(tokens, labels=tokens).loss.exp())
    row, = measure(checkpoint, "tiny", [SHIPPED], WINDOWS)
    assert row.perplexity == pytest.approx(wanted, rel=1e-5)
    assert (row.increase, row.kl, row.top1, row.weight_error, row.tokens) == (0, 0, 1, 0, 3 * 23)
    assert (row.increase_error, row.kl_error) == (0, 0)
    assert (row.perplexity_error or 0) > 0


def test_every_variant_and_its_error(checkpoint: Checkpoint) -> None:
    names = [name for name in VARIANTS if "printed" not in name and "seedlm4x" not in name]
    rows = {row.variant: row for row in measure(checkpoint, "tiny", [VARIANTS[name] for name in names], WINDOWS,
                                                CALIBRATION)}
    assert list(rows) == names
    assert rows["int8-g128"].kl < 0.1 * rows["int4-g128"].kl < 0.1 * rows["int3-row-rtn"].kl
    assert rows["int8-g128"].weight_error < 0.01 < rows["seedlm4"].weight_error < rows["seedlm3"].weight_error
    assert rows["seedlm4"].weight_error <= rows["seedlm4-paper"].weight_error
    assert rows["trellis4-rotated"].weight_error < 0.08 < rows["trellis3-rotated"].weight_error < 0.15
    assert rows["seedlm4r-rotated"].weight_error < 0.1 < rows["seedlm3r-rotated"].weight_error < 0.2
    assert rows["trellis4-rotated"].kl < rows["int4-g128-rotated"].kl
    for name in ("int4-g128", "seedlm4", "seedlm3"):
        exact, coarse = rows[f"{name}-a16"], rows[f"{name}-a8"]
        assert exact.weight_error == coarse.weight_error == rows[name].weight_error
        assert exact.kl == pytest.approx(rows[name].kl, rel=0.02)
        assert abs(exact.kl - rows[name].kl) < abs(coarse.kl - rows[name].kl)


def test_calibrated_codes_need_other_channels_less(checkpoint: Checkpoint) -> None:
    """Calibrated on the very text, GPTQ's outputs are nearer than those of its grid without it, and nearer still where
    later matrices make up for what earlier ones did to their inputs. The trellis is nearer than all of them."""
    names = ("trellis3-calibrated", "gptq3-g128-drift-rotated", "gptq3-g128-drift", "gptq3-g128", "int3-row-rtn")
    trellis, turned, best, good, plain = measure(checkpoint, "tiny", [VARIANTS[name] for name in names], WINDOWS,
                                                 WINDOWS)
    assert trellis.kl < 0.5 * turned.kl
    assert max(turned.kl, best.kl) < 0.95 * good.kl < 0.95 * plain.kl


def test_finished_variants_are_kept(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    score, called = Measurement.score, []

    def counted(self: Measurement, variant: object, progress: object) -> Scored:
        called.append(variant)
        if variant == VARIANTS["int3-g128"] and len(called) < 4:
            raise KeyboardInterrupt
        return score(self, variant, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(Measurement, "score", counted)
    wanted = [VARIANTS["int4-g128"], VARIANTS["int3-g128"]]
    with pytest.raises(KeyboardInterrupt):
        measure(checkpoint, "tiny", wanted, WINDOWS)
    rows = measure(checkpoint, "tiny", wanted, WINDOWS)
    assert [each.name for each in called] == ["shipped", "int4-g128", "int3-g128", "int3-g128"]  # type: ignore[attr-defined]
    assert measure(checkpoint, "tiny", wanted, WINDOWS) == rows
    assert len(called) == 4
    measure(checkpoint, "tiny", [SHIPPED], WINDOWS[:2])  # another text
    assert len(called) == 5


def test_progress_counts_the_work_of_all_variants(checkpoint: Checkpoint) -> None:
    seen: list[tuple[float, float]] = []
    measure(checkpoint, "tiny", [VARIANTS["int4-g128"]], WINDOWS, progress=lambda what, done, total: seen.append(
        (done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len({total for _, total in seen}) == 1
    assert seen[-1][0] == seen[-1][1]


def test_stored_bits(checkpoint: Checkpoint) -> None:
    """Of a tiny model in float32: two layers of 64 columns and 96 in between."""
    names = checkpoint.compressible()
    assert bits_per_weight(checkpoint, names, SHIPPED) == model_bits(checkpoint, names, SHIPPED) == 32
    assert bits_per_weight(checkpoint, names, VARIANTS["seedlm4"]) == 4
    sizes = {name: int(np.prod(checkpoint.shape(name))) for name in checkpoint.names()}
    coded = sum(sizes[name] for name in names)
    assert model_bits(checkpoint, names, VARIANTS["seedlm4"]) == pytest.approx(
        16 + (4 - 16) * coded / sum(sizes.values()))


def test_stored_bits_of_a_compressed_folder_count_the_padding_of_rows(checkpoint: Checkpoint, tmp_path: Path) -> None:
    compress(checkpoint.path, tmp_path / "out", Options("10,5,8", include=("*.0.self_attn.q_proj*", "*.0.mlp.down*")))
    folder = open_checkpoint(tmp_path / "out")
    for kind, cols, blocks in (("self_attn.q_proj", 64, 7), ("mlp.down_proj", 96, 10)):
        assert bits_per_weight(folder, [f"model.layers.0.{kind}.weight"], SHIPPED) == blocks * (8 + 4 + 5 * 4) / cols


def test_windows_beyond_the_context_are_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(UserError, match=r"longer than the context of .*, 128 tokens: give shorter ones with --window"):
        measure(checkpoint, "tiny", [SHIPPED], np.zeros((1, 129), np.int64))


def test_another_family_is_refused(tmp_path: Path) -> None:
    tiny("gpt2").save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match=r"of the family gpt2"):
        measure(open_checkpoint(tmp_path / "other"), "other", [SHIPPED], WINDOWS)
