"""Whole models compressed, interrupted, damaged, inspected and decompressed."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from golden.layout import StreamLayout
from golden.spec import FormatError, parse_format
from golden.tree import ROOT
from host.checkpoint.checkpoint import open_checkpoint
from host.checkpoint.container import open_compressed
from host.checkpoint.unfinished import PARTS
from host.cli.main import main
from host.compress import journal as journal_module
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.plan import Options, Slice
from host.compress.slices import Encoded, Work
from host.encoder.encoder import encode
from host.errors import CheckError, UserError
from host.packing import decode
from host.packing.image import weight_image
from tests.host.checkpoint.tiny_gguf import write_tiny
from tests.host.compress.toy import FFN, SMALL, WIDTH, Stop, content, flip, folder, stopping, tensors


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder(tmp_path / "model")


@pytest.mark.parametrize("options", [SMALL, Options("12,4,7,3", mode="paper", bias="off"), replace(
    SMALL, shard_bytes=3000)], ids=["one shard", "3 bits a code", "many shards"])
def test_the_folder_holds_streams_and_all_else_as_it_was(options: Options, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert compress(model, out, options, check=True).fresh
    assert not (out / PARTS).exists()
    assert (out / "tokenizer.json").read_text() == "{}"
    config = json.loads((out / "config.json").read_text())
    assert config["hidden_size"] == WIDTH
    assert config["quantization_config"]["format"] == options.format
    files = open_compressed(out)
    assert len(files.files) == (1 if options.shard_bytes > 3000 else 6)
    for name, values in tensors().items():
        if "_proj" not in name:
            stored = safe_open(next(f for f in files.files if name in files.held(f)), "numpy").get_tensor(name)
            assert stored.dtype == values.dtype
            assert np.array_equal(stored, values)
            continue
        weights = values.astype(np.float32)
        bias = 0 if options.bias == "off" else "auto"
        matrix = encode(weights, options.fmt, options.mode, exponent_bias=bias)
        image = weight_image(matrix, StreamLayout(options.fmt))
        tensor = files.compressed[name]
        assert files.stream(name).tobytes() == image
        assert files.stream(name).offset % 64 == 0
        assert files.sha256(name) == sha256(image).hexdigest()
        assert (tensor.shape, tensor.dtype, tensor.exponent_bias) == (values.shape, "BF16", matrix.exponent_bias)
        error = np.linalg.norm(matrix.weights() - weights) / np.linalg.norm(weights)
        assert tensor.error == pytest.approx(error, rel=1e-5)
        for rows in (slice(None), slice(3, 9), slice(7, 16)):
            assert np.array_equal(files.matrix(name, rows).weights(), matrix.weights()[rows])


def test_a_gguf_becomes_a_hugging_face_folder(tmp_path: Path) -> None:
    write_tiny(tmp_path / "m.gguf", {"token_embd.weight": "Q8_0", "blk.0.attn_q.weight": "F16",
                                     "blk.0.attn_k.weight": "Q8_0", "blk.0.attn_v.weight": "Q4_1"},
               lambda writer: writer.add_bos_token_id(1))
    notices = compress(tmp_path / "m.gguf", tmp_path / "out", SMALL).notices
    assert any("quantised already (Q4_1, 5 bits for a weight)" in notice for notice in notices)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert {key: config[key] for key in ("architectures", "model_type", "hidden_size", "num_attention_heads",
                                         "vocab_size", "tie_word_embeddings", "bos_token_id")} == {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "num_attention_heads": 4,
        "vocab_size": 40, "tie_word_embeddings": True, "bos_token_id": 1}
    held = load_file(tmp_path / "out" / "model.seedlm.safetensors")
    assert {name.split(".")[-2 if name.endswith("weight") else -3]: str(values.dtype)
            for name, values in held.items()} == {
        "embed_tokens": "float16", **dict.fromkeys(("norm", "input_layernorm", "post_attention_layernorm"), "float32"),
        **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), "uint8")}
    name = "model.layers.0.self_attn.q_proj.weight"
    source = open_checkpoint(tmp_path / "m.gguf").matrix(name)
    restored = open_checkpoint(tmp_path / "out").matrix(name)
    assert np.linalg.norm(restored - source) < 0.3 * np.linalg.norm(source)


def test_a_tokenizer_of_a_gguf_is_written_and_kept(tmp_path: Path) -> None:
    def vocabulary(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(["a", "b", "ab"])
        writer.add_token_types([1, 1, 1])
        writer.add_token_merges(["a b"])
        writer.add_eos_token_id(1)

    write_tiny(tmp_path / "m.gguf", more=vocabulary)
    assert compress(tmp_path / "m.gguf", tmp_path / "out", SMALL).notices == ()
    decompress(tmp_path / "out", tmp_path / "plain")
    for name, wanted in open_checkpoint(tmp_path / "m.gguf").side_files().items():
        assert name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes() == wanted
    write_tiny(tmp_path / "n.gguf")
    for fresh in (True, False):
        summary = compress(tmp_path / "n.gguf", tmp_path / "bare", SMALL)
        assert summary.fresh == fresh
        assert "no tokenizer is written" in summary.notices[0]


def test_stored_matrices_are_streamed_as_they_are(model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "out", SMALL)
    name = "model.layers.1.self_attn.q_proj.weight"
    checkpoint, files = open_checkpoint(tmp_path / "out"), open_compressed(tmp_path / "out")
    whole, part = checkpoint.stored(name), checkpoint.stored(name, slice(5))
    assert whole is not None
    assert part is not None
    assert whole.error == files.compressed[name].error
    assert np.array_equal(checkpoint.matrix(name), whole.weights().astype(np.float32))
    mark = replace(whole, stream=np.arange(64, dtype=np.uint8))  # no image of any matrix
    assert weight_image(mark, StreamLayout(SMALL.fmt)) == bytes(range(64))
    plain = files.matrix(name)
    assert weight_image(whole, StreamLayout(SMALL.fmt)) == weight_image(plain, StreamLayout(SMALL.fmt))
    assert weight_image(mark, StreamLayout(SMALL.fmt, 128)) == weight_image(plain, StreamLayout(SMALL.fmt, 128))
    assert weight_image(part, StreamLayout(SMALL.fmt)) == weight_image(files.matrix(name, slice(5)),
                                                                       StreamLayout(SMALL.fmt))
    assert checkpoint.stored("model.norm.weight") is None
    assert open_checkpoint(model).stored(name) is None
    shard = tmp_path / "out" / "model.seedlm.safetensors"
    flip(shard, files.stream(name).offset)
    with pytest.raises(UserError, match="the file is damaged"):
        open_checkpoint(tmp_path / "out").stored(name)


def test_channel_weights_from_files(model: Path, tmp_path: Path) -> None:
    name = "model.layers.0.mlp.down_proj.weight"
    channels = np.random.default_rng(5).uniform(0.1, 3, FFN)
    (tmp_path / "channels").mkdir()
    with pytest.raises(UserError, match=r"channels holds channel weights of no tensor .* name them as in model.layers"):
        compress(model, tmp_path / "out", SMALL, weighting=tmp_path / "channels")
    np.save(tmp_path / "channels" / f"{name}.npy", channels.astype(np.float32))
    compress(model, tmp_path / "out", SMALL, weighting=tmp_path / "channels", check=True)
    compress(model, tmp_path / "plain", SMALL)
    weighted, plain = open_compressed(tmp_path / "out"), open_compressed(tmp_path / "plain")
    assert weighted.manifest.settings["activation_aware"]
    assert not plain.manifest.settings["activation_aware"]
    wanted = encode(tensors()[name].astype(np.float32), SMALL.fmt, channel_weights=channels.astype(np.float32))
    assert np.array_equal(weighted.matrix(name).packed(), wanted.packed())
    assert weighted.compressed[name].error > plain.compressed[name].error
    other = name.replace("layers.0", "layers.1")
    assert weighted.compressed[other] == plain.compressed[other]
    np.save(tmp_path / "channels" / f"{name}.npy", np.ones(FFN))
    with pytest.raises(UserError, match="holds another compressed model"):
        compress(model, tmp_path / "out", SMALL, weighting=tmp_path / "channels")
    (tmp_path / "channels" / f"{name}.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match=r"down_proj.weight.npy is no .npy file of numbers"):
        compress(model, tmp_path / "third", SMALL, weighting=tmp_path / "channels")


@pytest.mark.parametrize("given", [None, "F32", "F16", "BF16"])
def test_decompress_writes_what_golden_makes_of_the_streams(given: str | None, model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "out", replace(SMALL, shard_bytes=9000))
    decompress(tmp_path / "out", tmp_path / "plain", given)
    files, plain = open_compressed(tmp_path / "out"), open_checkpoint(tmp_path / "plain")
    assert sorted(plain.names()) == sorted(tensors())
    assert "quantization_config" not in plain.config()
    for name, values in tensors().items():
        if name in files.compressed:
            assert plain.dtype(name) == (given or "BF16")
            kind = {"F32": np.float32, "F16": np.float16}.get(given or "", ml_dtypes.bfloat16)
            assert np.array_equal(plain.read(name), files.matrix(name).weights().astype(kind).astype(np.float32))
        elif values.dtype != np.int64:
            assert np.array_equal(plain.read(name), values)


@pytest.mark.parametrize("shard_bytes", [1 << 30, 3000])
def test_a_run_stopped_anywhere_goes_on_to_the_same_bytes(shard_bytes: int, model: Path, tmp_path: Path) -> None:
    options = replace(SMALL, shard_bytes=shard_bytes)
    compress(model, tmp_path / "whole", options)
    slices = 0
    for after in (0, 1, 3, 2, 1):  # the same folder is stopped five times
        with pytest.raises(Stop):
            compress(model, tmp_path / "out", options, runner=stopping(after))
        slices += after
        assert len(list((tmp_path / "out" / PARTS).glob("*.slice"))) <= slices
    progress: list[tuple[int, int]] = []
    compress(model, tmp_path / "out", options, progress=lambda _, *counts: progress.append(counts))
    assert 0 < progress[0][0] < progress[-1][0] == progress[-1][1]
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert not compress(model, tmp_path / "out", options).fresh


def test_slices_found_damaged_are_made_anew(model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "whole", SMALL)
    with pytest.raises(Stop):
        compress(model, tmp_path / "out", SMALL, runner=stopping(3))
    first, second, third = sorted((tmp_path / "out" / PARTS).glob("*.slice"))
    first.write_bytes(first.read_bytes()[:-1])
    second.write_bytes(b"")
    flip(third, third.stat().st_size // 2)
    compress(model, tmp_path / "out", SMALL)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_kill_9_in_the_middle(model: Path, tmp_path: Path) -> None:
    options = ["--format", "8,3,16", "--slice-weights", "1"]
    command = [sys.executable, "-m", "host", "compress", str(model)]
    process = subprocess.Popen([*command, str(tmp_path / "out"), *options], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out" / PARTS).glob("*.slice"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out" / PARTS).glob("*.slice")}
    assert finished
    assert not (tmp_path / "out" / "config.json").exists()
    compress(model, tmp_path / "out", Options("8,3,16", slice_weights=1))
    compress(model, tmp_path / "whole", Options("8,3,16", slice_weights=1))
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_full_disk_keeps_what_is_finished(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options, calls, sync = replace(SMALL, shard_bytes=3000), 0, os.fsync
    compress(model, tmp_path / "whole", options)

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 14:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write to .*out .No space left on device.: make room"):
        compress(model, tmp_path / "out", options)
    monkeypatch.undo()
    finished = list((tmp_path / "out").glob("*.safetensors"))
    assert finished
    assert all(file.read_bytes() == (tmp_path / "whole" / file.name).read_bytes() for file in finished)
    compress(model, tmp_path / "out", options)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_too_small_a_disk_is_noticed_before_any_work(model: Path, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 100}))
    with pytest.raises(UserError, match=r"needs 0.0 GB, and its disk has 0.0 GB left: make room"):
        compress(model, tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()


def test_check_finds_a_decoder_that_is_not_goldens(model: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    numerators = decode.numerators
    monkeypatch.setattr(decode, "numerators", lambda matrix: numerators(matrix) + 1)
    with pytest.raises(CheckError, match=r"self_attn.q_proj.weight does not decode to what golden makes of it"):
        compress(model, tmp_path / "out", SMALL, check=True)


def other_files(out: Path, model: Path) -> None:
    out.mkdir()
    (out / "notes.txt").touch()


def a_file(out: Path, model: Path) -> None:
    out.touch()


def other_options(out: Path, model: Path) -> None:
    compress(model, out, Options("8,3,7"))


def unfinished_with_other_options(out: Path, model: Path) -> None:
    with pytest.raises(Stop):
        compress(model, out, Options("8,3,7"), runner=stopping(0))


def another_encoder(out: Path, model: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("host.compress.plan.encoder_digest", lambda *_: "another")
        with pytest.raises(Stop):
            compress(model, out, SMALL, runner=stopping(0))


@pytest.mark.parametrize(("prepare", "message"), [
    (other_files, "output folder .*out holds something else: give a new or empty folder"),
    (a_file, r"output folder .*out cannot be made, as .*out is a file: give another"),
    (other_options, "output folder .*out holds another compressed model: give a new"),
    (unfinished_with_other_options, "holds an unfinished run with another model or other options: give the same"),
    (another_encoder, "holds an unfinished run of another version of the program: remove it")])
def test_output_folders_that_hold_something_else(prepare: Callable[[Path, Path], None], message: str, model: Path,
                                                 tmp_path: Path) -> None:
    prepare(tmp_path / "out", model)
    before = content(tmp_path / "out")
    with pytest.raises(UserError, match=message):
        compress(model, tmp_path / "out", SMALL)
    assert content(tmp_path / "out") == before


@pytest.mark.parametrize(("out", "bits", "message"), [
    ("full", None, "holds something else"), ("full/file/out", None, "cannot be made"), ("out", 9, "is above 4")])
def test_what_is_impossible_is_refused_before_the_model_is_read(out: str, bits: float | None, message: str, model: Path,
                                                                tmp_path: Path) -> None:
    def reading(what: str, done: float, total: float) -> None:
        raise AssertionError(f"{what} is read")

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match=message):
        compress(model, tmp_path / out, replace(SMALL, bits=bits), reading=reading)


def test_two_runs_in_one_folder(model: Path, tmp_path: Path) -> None:
    def second(work: Iterable[tuple[Slice, Work]], partial: object) -> Iterator[tuple[Slice, Encoded]]:
        with pytest.raises(UserError, match=r"another run is writing to .*out: wait for it"):
            compress(model, tmp_path / "out", SMALL)
        raise Stop
        yield

    with pytest.raises(Stop):
        compress(model, tmp_path / "out", SMALL, runner=second)


@pytest.mark.parametrize(("options", "message"), [
    (replace(SMALL, include=("*.bias",)), r"no matrix in .* matches \*.bias: give patterns with --include"),
    (replace(SMALL, exclude=("*",)), "no matrix in .* is compressed by default: give patterns with --include"),
    (replace(SMALL, include=("*",)), "tensor codes.weight in .* is stored as I8, integers or quantised already"),
    (Options("2,3,9"), "format 2,3,9 has more coefficients than weights")])
def test_unusable_choices(options: Options, message: str, tmp_path: Path) -> None:
    model = folder(tmp_path / "m", **{"codes.weight": np.ones((16, 16), np.int8)})
    with pytest.raises(UserError, match=message):
        compress(model, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_what_matches_and_is_no_matrix_is_left_alone_and_named(model: Path, tmp_path: Path) -> None:
    plan = compress(model, tmp_path / "out", replace(SMALL, format="7,3,8", include=("*.weight",))).plan
    assert plan.left_out == ("model.norm.weight",)
    assert set(plan.padded) == {name for name, values in tensors().items() if values.ndim == 2}
    assert np.array_equal(open_compressed(tmp_path / "out").matrix("model.embed_tokens.weight").shape, (40, WIDTH))


@pytest.mark.parametrize(("kind", "value"), [("mode", "best"), ("bias", "on"), ("slice_weights", 0)])
def test_options_out_of_range(kind: str, value: object) -> None:
    with pytest.raises(UserError, match=f"not {value!r}"):
        replace(SMALL, **{kind: value})


@pytest.mark.parametrize("text", ["300,3,16", "8,9,16", "8,3,25", "8,3", "seedlm5"])
def test_formats_out_of_range(text: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        compress(model, tmp_path / "out", Options(text))


def test_quantised_models_are_refused(model: Path, tmp_path: Path) -> None:
    (model / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(UserError, match=r"is quantised already .gptq.: give the original"):
        compress(model, tmp_path / "out", SMALL)
    (model / "config.json").write_text("{}")
    compress(model, tmp_path / "out", SMALL)
    with pytest.raises(UserError, match=r"is quantised already .seedlm.: give the original"):
        compress(tmp_path / "out", tmp_path / "again", SMALL)


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit status of the command line."""
    monkeypatch.setattr(sys, "argv", ["host", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_the_commands(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                      capsys: pytest.CaptureFixture[str]) -> None:
    out, plain = str(tmp_path / "out"), str(tmp_path / "plain")
    given = ("--format", "7,3,8", "--bias", "off", "--exclude", "*.0.*", "--check")
    assert run("compress", str(model), out, *given, monkeypatch=monkeypatch) == 0
    printed = "".join(capsys.readouterr())
    assert "3 tensors padded with zeros to a width of whole blocks of 7: model.layers.1.self_attn.q_proj" in printed
    assert "3 tensors in 7,3,8, 6 as they were" in printed
    assert run("inspect", out, monkeypatch=monkeypatch) == 0
    assert "3 compressed, 6 as they" in capsys.readouterr().out
    assert run("decompress", out, plain, "--dtype", "f32", monkeypatch=monkeypatch) == 0
    capsys.readouterr()
    for arguments in (("compress", str(model), str(model)), ("compress", str(model), out, "--format", "9"),
                      ("decompress", out, plain), ("decompress", out, plain, "--dtype", "f8"), ("inspect", plain)):
        assert run(*arguments, monkeypatch=monkeypatch) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert message.count("\n") == 1


def test_parse_format_names_are_kept() -> None:
    assert Options("8,3,16").fmt == parse_format("seedlm4")
