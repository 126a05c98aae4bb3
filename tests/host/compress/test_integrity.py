"""Compressed folders and unfinished runs that are damaged or changed: nothing wrong is used."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from host.checkpoint import manifest
from host.checkpoint.checkpoint import open_checkpoint
from host.checkpoint.container import open_compressed
from host.checkpoint.manifest import MANIFEST, SUFFIX, read_manifest
from host.checkpoint.shards import FLOATS
from host.checkpoint.unfinished import PARTS
from host.cli.main import main
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.journal import _sealed
from host.compress.verify import _in_order, inspect, seal
from host.errors import UserError
from tests.host.compress.toy import SMALL, Stop, content, flip, folder, stopping, tensors

DOWN = "model.layers.1.mlp.down_proj.weight"
TWO = replace(SMALL, shard_bytes=9000)  # two shards


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder(tmp_path / "model")


@pytest.fixture
def out(model: Path, tmp_path: Path) -> Path:
    compress(model, tmp_path / "out", TWO)
    return tmp_path / "out"


def shard_with(out: Path, stored: str) -> Path:
    return out / read_manifest(out).shard_of[stored]


def resealed(out: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change the manifest as one would who knows how it is sealed."""
    fields = json.loads((out / MANIFEST).read_text())
    del fields["sha256"]
    change(fields)
    (out / MANIFEST).write_text(manifest._sealed(fields))


def test_every_byte_is_under_a_digest(out: Path) -> None:
    listed = read_manifest(out)
    assert {*listed.files, *listed.shards, MANIFEST} == set(content(out))
    assert {"README.md", "config.json", "tokenizer.json", "model.safetensors.index.seedlm.json"} == set(listed.files)
    rows, notices = inspect(out)
    assert rows[-1].verified
    assert notices == []
    assert inspect(out, verify=False)[0][-1].verified is None


@pytest.mark.parametrize("stored", [DOWN + SUFFIX, "model.embed_tokens.weight", "model.positions"])
def test_a_damaged_tensor_is_named_and_not_used(stored: str, model: Path, out: Path, tmp_path: Path) -> None:
    good, shard, name = content(out), shard_with(out, stored), stored.removesuffix(SUFFIX)
    flip(shard, open_compressed(out)._places[stored].start + 5)
    for use in (lambda: inspect(out), lambda: decompress(out, tmp_path / "plain")):
        with pytest.raises(UserError, match=rf"{shard.name} is damaged .tensor {stored} has digest .* the command that "
                                            "compressed the model again, which makes it anew"):
            use()
    assert not (tmp_path / "plain" / shard.name).exists()
    checkpoint = open_checkpoint(out)
    for use in (lambda: checkpoint.read(name), lambda: checkpoint.stored(name), lambda: list(checkpoint.raw(
            name).pieces())):
        if not (checkpoint.dtype(name) == "I64" or (use.__code__.co_names[0] == "stored" and name != DOWN)):
            with pytest.raises(UserError, match=f"tensor {name} in .* has digest .*: the file is damaged"):
                use()
    assert checkpoint.stored("model.layers.0.self_attn.k_proj.weight") is not None  # another tensor is still good
    summary = compress(model, out, TWO)
    assert summary.fresh
    assert f"{shard} is damaged" in summary.notices[0]
    assert summary.notices[0].endswith("it is made anew")
    assert content(out) == good


def test_a_finished_folder_with_a_missing_shard_or_file_is_completed(model: Path, out: Path) -> None:
    good = content(out)
    for name in ("tokenizer.json", "config.json", "model.seedlm-00002-of-00002.safetensors"):
        (out / name).unlink()
        with pytest.raises(UserError, match=f"{name}.* is missing" if "config" not in name else "missing"):
            inspect(out)
        with pytest.raises(UserError, match="is missing"):
            decompress(out, out.parent / "plain")
    assert compress(model, out, TWO).fresh
    assert content(out) == good
    assert not compress(model, out, TWO).fresh


def test_another_encoder_does_not_mend_a_finished_folder(model: Path, out: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.compress.plan.encoder_digest", lambda *_: "another")
    assert not compress(model, out, TWO).fresh  # the folder is good
    flip(shard_with(out, DOWN + SUFFIX), 5000)
    before = content(out)
    with pytest.raises(UserError, match="is damaged or missing, and another version of the encoder wrote it"):
        compress(model, out, TWO)
    assert content(out) == before


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors.index.seedlm.json"])
def test_a_changed_file_is_refused_until_it_is_sealed(name: str, model: Path, out: Path, tmp_path: Path) -> None:
    (out / name).write_text(json.dumps(json.loads((out / name).read_text()) | {"more": 1}))
    for use in (lambda: inspect(out), lambda: decompress(out, tmp_path / "plain"), lambda: compress(model, out, TWO)):
        with pytest.raises(UserError, match=rf"{name} is not the file that seedlm.json describes: "
                                             r".*`seedlm-fpga seal .*out`"):
            use()
    assert seal(out) == [name]
    assert seal(out) == []
    assert inspect(out)[1] == []
    decompress(out, tmp_path / "plain")
    assert not compress(model, out, TWO).fresh
    if "index" not in name:
        assert json.loads((tmp_path / "plain" / name).read_text())["more"] == 1


def test_a_seal_takes_new_files_and_drops_missing_ones(out: Path, tmp_path: Path) -> None:
    (out / "notes.md").write_text("new")
    (out / "tokenizer.json").unlink()
    assert seal(out) == ["notes.md", "tokenizer.json"]
    decompress(out, tmp_path / "plain")
    assert (tmp_path / "plain" / "notes.md").read_text() == "new"
    assert not (tmp_path / "plain" / "tokenizer.json").exists()
    (out / "config.json").write_text("[]")
    with pytest.raises(UserError, match=r"config.json .it must be an object, not a list.: mend it, then seal"):
        seal(out)
    flip(shard_with(out, DOWN + SUFFIX), 5000)
    with pytest.raises(UserError, match="is damaged"):
        seal(out)


def test_a_file_that_the_manifest_does_not_list_is_noticed_and_not_used(out: Path, tmp_path: Path) -> None:
    (out / "extra.bin").write_bytes(b"x")
    assert inspect(out)[1] == [f"{out / 'extra.bin'} is not listed in {MANIFEST}: it was not checked, and is not used"]
    decompress(out, tmp_path / "plain")
    assert not (tmp_path / "plain" / "extra.bin").exists()


def test_a_tool_that_rewrites_metadata_takes_nothing_away(model: Path, out: Path, tmp_path: Path) -> None:
    decompress(out, tmp_path / "before")
    shard = shard_with(out, DOWN + SUFFIX)
    named = load_file(shard)
    save_file(dict(reversed(named.items())), shard, {"format": "np", "note": "rewritten"})
    rows, notices = inspect(out)
    assert rows[-1].verified
    assert notices == [f"{shard} was written by another tool; its tensors are what {MANIFEST} says"]
    assert decompress(out, tmp_path / "after") == notices
    assert content(tmp_path / "after") == content(tmp_path / "before")
    assert open_checkpoint(out).stored(DOWN).exponent_bias == open_compressed(out).compressed[DOWN].exponent_bias != 0
    summary = compress(model, out, TWO)
    assert (summary.fresh, list(summary.notices)) == (False, notices)
    assert seal(out) == [shard.name]
    assert inspect(out)[1] == []


@pytest.mark.parametrize("change", [
    lambda named: named | {"new": np.ones(3)},
    lambda named: {name: value for name, value in named.items() if not name.startswith(DOWN)},
    lambda named: {name.replace(DOWN, "other"): value for name, value in named.items()},
    lambda named: {name: value.reshape(2, -1) if name.startswith(DOWN) else value for name, value in named.items()},
    lambda named: {name: value.view(np.int8) if name.startswith(DOWN) else value for name, value in named.items()}])
def test_a_shard_with_other_tensors_is_refused(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
                                               out: Path) -> None:
    shard = shard_with(out, DOWN + SUFFIX)
    save_file(change(load_file(shard)), shard)
    with pytest.raises(UserError, match=r"is damaged .tensor .* is not as seedlm.json says"):
        inspect(out)


def test_nothing_is_read_from_a_shards_metadata(out: Path) -> None:
    for name in read_manifest(out).shards:
        with safe_open(out / name, "numpy") as file:
            assert file.metadata() == {"format": "pt"}


@pytest.mark.parametrize(("change", "message"), [
    (lambda fields: fields["tensors"][DOWN].update(exponent_bias="-10"), "exponent_bias must be a whole number"),
    (lambda fields: fields["tensors"][DOWN].update(exponent_bias=-9999), "exponent_bias must be a whole number from"),
    (lambda fields: fields["tensors"][DOWN].update(error=None), "error must be a finite number"),
    (lambda fields: fields["tensors"][DOWN].update(shape=[47, 99]), "needs .* bytes for its shape and format"),
    (lambda fields: fields["tensors"][DOWN].update(shape=[48]), "shape must have from two to 64 dimensions"),
    (lambda fields: fields["tensors"][DOWN].update(format="int4"), "int4 is not a SeedLM format"),
    (lambda fields: fields["tensors"].pop(DOWN), "tensors has other tensors than the shards"),
    (lambda fields: fields["settings"].update(lanes=3), "lanes must be 32, the order of streams"),
    (lambda fields: fields["settings"].update(bus_bits=64), "bus_bits must be 512"),
    (lambda fields: fields["settings"].pop("format"), "settings.format is missing"),
    (lambda fields: fields["files"].pop("config.json"), "files must list config.json"),
    (lambda fields: fields["files"].update({"../x": {}}), "has a name that is none of a file in the folder"),
    (lambda fields: fields["files"].update({name: {"bytes": 1, "sha256": "0" * 64} for name in fields["shards"]}),
     "which is a shard"),
    (lambda fields: fields["files"]["config.json"].update(sha256="0x"), "must be a SHA-256 in 64 hexadecimal digits"),
    (lambda fields: fields["shards"].update(more=next(iter(fields["shards"].values()))), "one tensor in two shards"),
    (lambda fields: fields.update(version=9), "is of version 9, and this program reads version 3: update it"),
    (lambda fields: fields.update(version=2), "is of version 2, and this program reads version 3: compress the model"),
    (lambda fields: fields.update(version=None), "version must be a whole number")])
def test_fields_of_the_manifest_are_checked(change: Callable[[dict[str, object]], None], message: str,
                                            out: Path) -> None:
    resealed(out, lambda fields: None)
    assert inspect(out)[1] == []
    resealed(out, change)
    with pytest.raises(UserError, match=message):
        inspect(out)


def test_a_manifest_that_was_edited_is_refused(model: Path, out: Path) -> None:
    text = (out / MANIFEST).read_text()
    bias = open_compressed(out).compressed[DOWN].exponent_bias
    other = text.replace(f'"exponent_bias": {bias}', f'"exponent_bias": {bias - 80}', 1)
    for changed in (other, text[:-1], text + " ", text.replace("\n", "\r\n")):
        assert changed != text
        (out / MANIFEST).write_bytes(changed.encode())
        for use in (lambda: inspect(out), lambda: seal(out), lambda: open_checkpoint(out),
                    lambda: compress(model, out, TWO)):
            with pytest.raises(UserError, match=r"seedlm.json does not have the digest that it gives: copy or"):
                use()


def test_folders_of_other_versions_and_of_none(model: Path, out: Path) -> None:
    (out / MANIFEST).unlink()
    with pytest.raises(UserError, match=r"seedlm.json is missing: copy or download the whole folder"):
        inspect(out)
    config = json.loads((out / "config.json").read_text())
    config["quantization_config"]["version"] = 1
    (out / "config.json").write_text(json.dumps(config))
    for use in (lambda: inspect(out), lambda: open_checkpoint(out)):
        with pytest.raises(UserError, match=r"is of version 1, in which not every byte has a digest, .*: compress the"):
            use()
    with pytest.raises(UserError, match="holds something else"):
        compress(model, out, TWO)
    with pytest.raises(UserError, match="holds no model compressed by this program"):
        inspect(model)


def test_a_changed_model_is_noticed(model: Path, tmp_path: Path) -> None:
    big = np.random.default_rng(1).normal(0, 0.02, (64, 4096)).astype(np.float32)
    save_file({"up_proj.weight": big[:16, :48], "embed": big}, tmp_path / "m.safetensors")
    compress(tmp_path / "m.safetensors", tmp_path / "a", SMALL)
    with pytest.raises(Stop):
        compress(tmp_path / "m.safetensors", tmp_path / "b", SMALL, runner=stopping(0))
    assert not compress(tmp_path / "m.safetensors", tmp_path / "a", SMALL).fresh
    flip(tmp_path / "m.safetensors", 700_001)
    with pytest.raises(UserError, match="holds another compressed model"):
        compress(tmp_path / "m.safetensors", tmp_path / "a", SMALL)
    with pytest.raises(UserError, match="holds an unfinished run with another model or other options"):
        compress(tmp_path / "m.safetensors", tmp_path / "b", SMALL)
    compress(model, tmp_path / "out", SMALL)
    (model / "tokenizer.json").write_text('{"other": 1}')
    with pytest.raises(UserError, match="holds another compressed model"):
        compress(model, tmp_path / "out", SMALL)


def test_finished_shards_of_an_unfinished_run_are_made_anew(model: Path, tmp_path: Path) -> None:
    options, part = replace(SMALL, shard_bytes=3000), tmp_path / "part"
    compress(model, tmp_path / "whole", options)
    with pytest.raises(Stop):
        compress(model, part, options, runner=stopping(5))
    finished = sorted(part.glob("*.safetensors"))
    assert len(finished) > 3
    flip(finished[0], 5000)
    flip(finished[1], 8)
    finished[2].unlink()
    done: list[int] = []
    compress(model, part, options, progress=lambda tensor, now, total: done.append(now))
    assert content(part) == content(tmp_path / "whole")
    assert done[0] < done[-1]


@pytest.mark.parametrize("change", [lambda path: path.touch(), lambda path: flip(path, 4000)])
def test_a_model_that_changes_under_a_run_is_noticed(change: Callable[[Path], None], model: Path,
                                                     tmp_path: Path) -> None:
    shard = model / "model-00001-of-00002.safetensors"
    changed = iter([shard])

    def progress(*counts: object) -> None:
        for path in changed:
            change(path)

    with pytest.raises(UserError, match=rf"{shard.name} has changed while it was compressed: remove .*out and give"):
        compress(model, tmp_path / "out", TWO, progress=progress)
    assert not (tmp_path / "out" / MANIFEST).exists()
    shutil.rmtree(tmp_path / "out")
    compress(model, tmp_path / "out", TWO)


def test_files_of_the_journal_that_do_not_fit_are_not_believed(model: Path, out: Path, tmp_path: Path) -> None:
    """Somebody has written them who knows how."""
    part = tmp_path / "part"
    with pytest.raises(Stop):
        compress(model, part, TWO, runner=stopping(8))
    for number, file in enumerate(sorted((part / PARTS).iterdir())):
        line, rest = file.read_bytes().partition(b"\n")[2].partition(b"\n")[::2]
        if file.suffix == ".slice":
            line, rest = [(line, rest + b"more"), (line.replace(b'_bias": -', b'_bias": 9999'), rest),
                          (line.replace(b'"norm"', b'"form"'), rest), (line, b"")][number % 4]
        elif file.suffix == ".shard":
            line = [line.replace(b"model.", b"muddle."), line.replace(b'"tensors"', b'"sensors"')][number % 2]
        if file.name != "lock":
            file.write_bytes(_sealed(line + b"\n" + rest))
    compress(model, part, TWO)
    assert content(part) == content(out)


def test_a_pipe_in_the_journal_is_not_waited_for(model: Path, out: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    with pytest.raises(Stop):
        compress(model, part, TWO, runner=stopping(3))
    for file in sorted((part / PARTS).glob("*.slice")):
        file.unlink()
        os.mkfifo(file)
    compress(model, part, TWO)
    assert content(part) == content(out)


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_job_is_written_anew_if_the_slices_are_its_own(damage: str, model: Path, out: Path,
                                                                 tmp_path: Path) -> None:
    for part, options in ((tmp_path / "own", TWO), (tmp_path / "others", replace(TWO, bias="off"))):
        with pytest.raises(Stop):
            compress(model, part, options, runner=stopping(3))
        if damage == "flip":
            flip(part / PARTS / "job", 70)
        else:
            (part / PARTS / "job").unlink()
    compress(model, tmp_path / "own", TWO)
    assert content(tmp_path / "own") == content(out)
    with pytest.raises(UserError, match="holds an unfinished run with another model or other options"):
        compress(model, tmp_path / "others", TWO)


def test_a_slice_of_another_place_is_not_taken(model: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        compress(model, tmp_path / "part", TWO, runner=stopping(3))
    first, second, _ = sorted((tmp_path / "part" / PARTS).glob("*.slice"))
    first.write_bytes(second.read_bytes())
    compress(model, tmp_path / "part", TWO)
    assert content(tmp_path / "part") == content(out)


def stopped(out: Path, plain: Path, dtype: str | None, after: int) -> None:
    """Decompress until some calls of the progress function were made."""
    calls = 0

    def progress(*counts: object) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Stop

    with pytest.raises(Stop):
        decompress(out, plain, dtype, progress)


@pytest.mark.parametrize("after", [1, 3, 4, 6])
def test_decompress_goes_on_where_it_was(after: int, model: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "out", tmp_path / "plain"
    compress(model, out, replace(SMALL, shard_bytes=3000))
    decompress(out, tmp_path / "whole", "F32")
    stopped(out, plain, "F32", after)
    assert not (plain / "config.json").exists()
    finished = {shard.name: shard.stat().st_mtime_ns for shard in plain.glob("*.safetensors")}
    assert bool(finished) == (after > 1)
    with pytest.raises(UserError, match="holds an unfinished run with another model or other options"):
        decompress(out, plain)
    if after == 6:
        flip(plain / min(finished), 4500)
        del finished[min(finished)]
    progress: list[tuple[int, int]] = []
    decompress(out, plain, "F32", lambda name, *counts: progress.append(counts))
    assert (progress[0][0] > 0) == bool(finished)
    assert progress[-1][0] == progress[-1][1]
    assert {name: (plain / name).stat().st_mtime_ns for name in finished} == finished
    assert content(plain) == content(tmp_path / "whole")
    with pytest.raises(UserError, match=r"output folder .*plain holds something else: give a new or empty folder"):
        decompress(out, plain, "F32")


def test_unfinished_folders_are_no_models(model: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        compress(model, tmp_path / "part", TWO, runner=stopping(9))
    stopped(out, tmp_path / "plain", None, 5)
    for part in (tmp_path / "part", tmp_path / "plain"):
        for use in (lambda part=part: open_checkpoint(part), lambda part=part: inspect(part)):
            with pytest.raises(UserError, match="holds an unfinished compression or decompression: give the same"):
                use()


def test_decompress_looks_at_the_disk_before_any_work(out: Path, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 100}))
    with pytest.raises(UserError, match=r"plain needs 0.0 GB, and its disk has 0.0 GB left: make room"):
        decompress(out, tmp_path / "plain")
    assert not (tmp_path / "plain").exists()


def test_weights_beyond_a_type(tmp_path: Path) -> None:
    save_file({"up_proj.weight": np.full((16, 48), 1e6, np.float32)}, tmp_path / "m.safetensors")
    compress(tmp_path / "m.safetensors", tmp_path / "out", SMALL)
    with pytest.raises(UserError, match=r"beyond the range of F16: decompress with --dtype f32 into a new folder"):
        decompress(tmp_path / "out", tmp_path / "plain", "F16")
    decompress(tmp_path / "out", tmp_path / "other", "F32")


def test_the_folder_is_read_as_a_model(out: Path) -> None:
    checkpoint = open_checkpoint(out)
    for name, values in tensors().items():
        if "_proj" not in name and checkpoint.dtype(name) in FLOATS:
            assert np.array_equal(checkpoint.read(name), values)
            assert np.array_equal(checkpoint.read(name, slice(2, 5)), values[2:5])


def test_the_command(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["host", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return (ended.value.code or 0, *(text.replace(str(out), "OUT") for text in printed))

    assert run("seal", str(out))[:2] == (0, "OUT: sealed, nothing had changed\n")
    (out / "tokenizer.json").write_text("[]")
    code, _, error = run("inspect", str(out))
    assert (code, error.count("\n")) == (2, 1)
    assert run("seal", str(out))[:2] == (0, "OUT: sealed, with changes in tokenizer.json\n")
    shard = shard_with(out, DOWN + SUFFIX)
    save_file(load_file(shard), shard)
    for arguments in (("inspect", str(out)), ("decompress", str(out), str(out.parent / "plain"))):
        code, _, error = run(*arguments)
        assert (code, error) == (0, f"note: OUT/{shard.name} was written by another tool; its tensors are what "
                                    f"{MANIFEST} says\n")


def test_layers_are_listed_in_the_order_of_their_numbers() -> None:
    names = ["layers.3.a", "layers.10.a", "layers.28.b", "layers.28.b.0", "norm"]
    assert sorted(sorted(names), key=_in_order) == names
