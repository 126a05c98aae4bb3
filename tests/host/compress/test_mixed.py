"""Folders whose tensors have several formats, chosen under a budget."""

import json
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.layout import StreamLayout
from golden.spec import FormatError, parse_format
from host.checkpoint.checkpoint import open_checkpoint
from host.checkpoint.container import CompressedFiles, open_compressed
from host.checkpoint.manifest import MANIFEST, _sealed
from host.checkpoint.unfinished import PARTS
from host.cli.simulate import _note_encoded_again
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.harm import harms
from host.compress.plan import Options
from host.compress.verify import inspect
from host.encoder.encoder import encode
from host.errors import UserError
from host.measure.layer import Job
from host.measure.matrices import Matrix
from host.packing.image import weight_image
from host.update import no_progress
from tests.host.compress.test_compress import run
from tests.host.compress.test_other_options import Counted
from tests.host.compress.toy import SMALL, WIDTH, Stop, content, flip, folder, stopping, tensors

MIXED = replace(SMALL, formats="8,3,8 12,3,7", bits=3.4)
"""Of blocks of 24 bits for 8 weights, and of 23 bits for 12."""


@pytest.fixture(autouse=True)
def own_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.folders.BUILD", tmp_path / "build")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder(tmp_path / "model")


def bits(files: CompressedFiles) -> float:
    return (8 * sum(tensor.stream_bytes for tensor in files.compressed.values())
            / sum(prod(tensor.shape) for tensor in files.compressed.values()))


def lost_build(tmp_path: Path) -> None:
    """Remove what was measured."""
    for path in (tmp_path / "build" / "sensitivity").glob("*.json"):
        path.unlink()


@pytest.mark.parametrize("shard_bytes", [1 << 30, 3000])
def test_every_tensor_is_stored_and_restored_in_its_format(shard_bytes: int, model: Path, tmp_path: Path) -> None:
    options = replace(MIXED, shard_bytes=shard_bytes)
    compress(model, tmp_path / "out", options, check=True)
    decompress(tmp_path / "out", tmp_path / "plain", "F32")
    files, plain = open_compressed(tmp_path / "out"), open_checkpoint(tmp_path / "plain")
    used = {name: tensor.format for name, tensor in files.compressed.items()}
    assert set(used.values()) == {"8,3,8", "12,3,7"}
    assert 3.1 < bits(files) <= 3.4
    # The smallest matrices cost the fewest bits for the same relative error.
    assert all(used[name] == "8,3,8" for name in used if "k_proj" in name)
    for name, fmt in used.items():
        matrix = encode(tensors()[name].astype(np.float32), parse_format(fmt))
        assert files.stream(name).tobytes() == weight_image(matrix, StreamLayout(parse_format(fmt)))
        assert np.array_equal(plain.read(name), matrix.weights().astype(np.float32))
    assert not compress(model, tmp_path / "out", options).fresh


def test_the_folder_says_which_formats_it_has(model: Path, tmp_path: Path) -> None:
    done = compress(model, tmp_path / "out", MIXED)
    settings = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert (settings["format"], settings["bits"]) == ("mixed", 3.4)
    assert {name: stated["lanes"] for name, stated in settings["formats"].items()} == {"12,3,7": 32, "8,3,8": 32}
    assert not {"lanes", "gaussian_error"} & settings.keys()
    rows, notices = inspect(tmp_path / "out")
    assert notices == []
    formats = [row.format for row in rows]
    kinds = {name: formats[:6].count(name) for name in ("12,3,7", "8,3,8")}
    assert [(row.tensor, row.format) for row in rows[6:]] == [
        *((f"{count} in {name}", name) for name, count in kinds.items()), ("6 compressed, 3 as they were", "mixed")]
    assert rows[-1].bits_per_weight == pytest.approx(bits(open_compressed(tmp_path / "out")))
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"seeds of 7 bits, in {kinds['12,3,7']} tensors with " in card
    assert "| budget | 3.4 bits per weight in compressed tensors; an engine is built for one format, so" in card
    assert "compress MODEL OUT --slice-weights 768 --bits 3.4 --formats '8,3,8 12,3,7'` |" in card
    assert done.account.gaussian.keys() == {"12,3,7", "8,3,8"}


def test_a_matrix_without_errors_gets_the_fewest_bits(tmp_path: Path) -> None:
    zeros = "model.layers.0.self_attn.k_proj.weight"
    model = folder(tmp_path / "model", **{zeros: np.zeros((16, WIDTH), np.float32)})
    compress(model, tmp_path / "out", replace(MIXED, bits=3.8))
    assert open_compressed(tmp_path / "out").compressed[zeros].format == "12,3,7"


def test_harm_is_the_relative_squared_error_that_counts(model: Path, tmp_path: Path) -> None:
    checkpoint, (first, second, *_) = open_checkpoint(model), [name for name in tensors() if "_proj" in name]
    channels = np.arange(WIDTH) % 5.0
    np.save(tmp_path / f"{first}.npy", channels)
    found = harms(checkpoint, [first, second], MIXED, tmp_path, None, "any", no_progress)
    for name, counted in ((first, channels), (second, 1.0)):
        exact = checkpoint.matrix(name).astype(np.float64)
        for fmt, harm in found[name].items():
            error = (encode(exact, parse_format(fmt)).weights() - exact) * counted
            assert harm == pytest.approx(np.square(error).sum() / np.square(exact * counted).sum(), rel=1e-5)


def test_a_device_makes_a_mixture_of_equal_errors(model: Path, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    options = replace(MIXED, mode="paper")
    compress(model, tmp_path / "whole", options)
    lost_build(tmp_path)
    monkeypatch.setattr("host.compress.slices.encode", None)  # the device measures what errors do, too
    compress(model, tmp_path / "out", replace(options, device="cpu"))
    wanted, found = (open_compressed(tmp_path / name).compressed for name in ("whole", "out"))
    assert {tensor.format for tensor in wanted.values()} == set(options.block_formats)
    for name, tensor in wanted.items():
        assert (found[name].format, found[name].error) == (tensor.format, pytest.approx(tensor.error, rel=1e-6))


def test_rows_of_large_matrices_are_sampled_from_all_over_them(tmp_path: Path) -> None:
    """Half of the rows are zeros, which have no error."""
    rows = np.random.default_rng(0).normal(0, 1, (4096, 64)).astype(np.float32)
    rows[:1024] = rows[3072:] = 0
    save_file({"up_proj.weight": rows}, tmp_path / "m.safetensors")
    asked: list[slice] = []
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    whole = checkpoint.matrix

    def matrix(name: str, part: slice = slice(None)) -> np.ndarray:
        asked.append(part)
        return whole(name, part)

    checkpoint.matrix = matrix  # type: ignore[method-assign]
    found = harms(checkpoint, ["up_proj.weight"], MIXED, None, None, "any", no_progress)["up_proj.weight"]
    assert [(part.start, part.stop) for part in asked] == [(0, 64), (1344, 1408), (2688, 2752), (4032, 4096)]
    assert 0.01 < found["8,3,8"] < found["12,3,7"] < 0.3


@pytest.mark.parametrize("measured", ["kept", "lost"])
def test_a_run_stopped_anywhere_makes_the_same_choice(measured: str, model: Path, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    options = replace(MIXED, shard_bytes=3000)
    compress(model, tmp_path / "whole", options)
    for after in (0, 3, 2, 1):
        with pytest.raises(Stop):
            compress(model, tmp_path / "out", options, runner=stopping(after))
        if measured == "lost":
            lost_build(tmp_path)
        else:
            monkeypatch.setattr("host.compress.harm._measured", None)
    compress(model, tmp_path / "out", options)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    flip(next((tmp_path / "out").glob("model.seedlm-00001-*.safetensors")), 2000)
    compress(model, tmp_path / "out", options)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("change", [{"bits": 3.1}, {"bits": 3.8}, {"exclude": ("*.1.mlp.*",)}])
def test_another_budget_goes_on_with_the_slices_that_it_has_too(change: dict[str, Any], model: Path,
                                                                tmp_path: Path) -> None:
    options = replace(MIXED, shard_bytes=3000)
    other, first, second = replace(options, **change), Counted(), Counted()
    with pytest.raises(Stop):
        compress(model, tmp_path / "out", options, runner=stopping(8))
    compress(model, tmp_path / "whole", other, runner=first)
    compress(model, tmp_path / "out", other, runner=second)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert 0 < len(second.names) < len(first.names)
    assert not (tmp_path / "out" / PARTS).exists()


def test_a_budget_does_not_go_on_with_one_format(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        compress(model, tmp_path / "out", SMALL, runner=stopping(2))
    with pytest.raises(UserError, match="another model or other options"):
        compress(model, tmp_path / "out", MIXED)
    compress(model, tmp_path / "done", MIXED)
    with pytest.raises(UserError, match="holds another compressed model"):
        compress(model, tmp_path / "done", replace(MIXED, bits=3.1))


@pytest.mark.parametrize(("change", "message"), [
    (lambda settings: settings.pop("formats"), "settings.formats is missing"),
    (lambda settings: settings["formats"].pop("8,3,8"), r"format is none of the settings' formats, 12,3,7"),
    (lambda settings: settings["formats"]["8,3,8"].update(lanes=16), "8,3,8.lanes must be 32, the order of streams"),
    (lambda settings: settings["formats"]["8,3,8"].pop("gaussian_error"), "8,3,8.gaussian_error is missing"),
    (lambda settings: settings["formats"].update({"int4": {}}), "int4 is not a SeedLM format"),
    (lambda settings: settings.update(format="8,3,8", lanes=32, gaussian_error=1), "none of the settings' formats")])
def test_settings_of_several_formats_are_checked(change: Any, message: str, model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "out", MIXED)
    path = tmp_path / "out" / MANIFEST
    fields = json.loads(path.read_text())
    change(fields["settings"])
    del fields["sha256"]
    path.write_text(_sealed(fields))
    with pytest.raises(UserError, match=message):
        inspect(tmp_path / "out")


@pytest.mark.parametrize(("options", "message"), [
    ({"bits": 2.8}, r"2.8 bits for a weight is below 2.889, what these matrices store in the smallest"),
    ({"bits": 5}, r"5 bits for a weight is above 4.222, what these matrices store in the greatest"),
    ({"formats": "8,3,8"}, "a budget of 3.4 bits needs formats to choose from, and '8,3,8' names 1: give two or more"),
    ({"formats": "8,3,8 8,3,8"}, "names 1: give two or more"), ({"formats": " "}, "names 0: give two or more"),
    ({"bits": 0}, "must be a number of bits above 0, not 0"), ({"bits": float("nan")}, "above 0, not nan"),
    ({"bits": float("inf")}, "above 0, not inf")])
def test_budgets_that_make_no_sense(options: dict[str, Any], message: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        compress(model, tmp_path / "out", replace(MIXED, **options))
    assert not (tmp_path / "out").exists()


def test_a_format_of_the_list_that_does_not_exist(model: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="int4 is not a SeedLM format"):
        compress(model, tmp_path / "out", Options(bits=3.5, formats="seedlm4 int4"))


def test_the_command(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                     capsys: pytest.CaptureFixture[str]) -> None:
    out, given = str(tmp_path / "out"), ("--formats", MIXED.formats, "--bits", "3.4")
    assert run("compress", str(model), out, *given, monkeypatch=monkeypatch) == 0
    used = [tensor.format for tensor in open_compressed(tmp_path / "out").compressed.values()]
    made = "".join(capsys.readouterr())
    assert f"{used.count('12,3,7')} tensors in 12,3,7, {used.count('8,3,8')} tensors in 8,3,8, 3 as they were" in made
    for wrong, message in ((("--bits", "x"), "--bits must be a number such as 3.5, not 'x'"),
                           (("--bits", "3.5", "--format", "seedlm4"), "--formats in place of --format seedlm4"),
                           (("--formats", "seedlm3 seedlm4"), "such as --bits 3.5"),
                           (("--format", "seedlm3 seedlm4"), "unknown format 'seedlm3 seedlm4'")):
        assert run("compress", str(model), str(tmp_path / "b"), *wrong, monkeypatch=monkeypatch) == 2
        assert message in capsys.readouterr().err
    assert run("compress", str(model), str(tmp_path / "b"), "--bits", "9", monkeypatch=monkeypatch) == 2
    assert "a budget of 9 bits for a weight is above 4." in capsys.readouterr().err  # of seedlm3 and seedlm4


def test_what_sim_encodes_again_is_said(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compress(model, tmp_path / "out", MIXED)
    checkpoint = open_checkpoint(tmp_path / "out")
    stored = {name: checkpoint.stored(name) for name in checkpoint.names() if "_proj" in name}
    matrices = [Matrix(name, checkpoint.matrix(name), matrix) for name, matrix in stored.items()]
    other = [name for name, matrix in stored.items() if matrix and matrix.fmt.name == "12,3,7"]
    _note_encoded_again(Job(("fp16", "int4", "8,3,8"), "ideal", 64, "verilator"), matrices)
    assert capsys.readouterr().err == (f"note: for 8,3,8, {len(other)} of 6 matrices are encoded again, as the folder "
                                       f"has them in 12,3,7: {', '.join(other)}\n")
    own = [matrix for matrix in matrices if matrix.name not in other]
    _note_encoded_again(Job(("8,3,8",), "ideal", 64, "verilator"), own)
    assert capsys.readouterr().err == ""
