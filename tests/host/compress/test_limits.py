"""A result is as large as was said, and no file of a model or of its channel weights makes it larger."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from host.checkpoint.checkpoint import open_checkpoint
from host.checkpoint.durable import contents
from host.checkpoint.manifest import MANIFEST
from host.checkpoint.shards import Content, write_shard
from host.cli import main as cli
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.verify import inspect
from host.errors import UserError
from tests.host.compress.toy import SMALL, content, folder


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["host", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    shown = capsys.readouterr()
    return shown.out + shown.err


def test_the_summary_says_how_large_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    model, out = folder(tmp_path / "model"), tmp_path / "out"
    (model / "notes.txt").write_bytes(bytes(100_000))
    for said in ("", "; it was complete already"):
        summary = printed(monkeypatch, capsys, "compress", model, out, "--format", "8,3,8", "--shard-bytes", 4000)
        size = sum(map(len, content(out).values()))
        assert f"{size:,} bytes{said}\n" in summary


def test_a_tensor_that_becomes_zeros_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    tensors = {"[a]_proj.weight": np.full((16, 16), 1e-30), "b_proj.weight": np.zeros((16, 16)),
               "c_proj.weight": np.ones((16, 16))}
    save_file({name: values.astype(np.float32) for name, values in tensors.items()}, tmp_path / "m.safetensors")
    said = "1 tensors are nothing but zeros now, as all their weights are too small for the format: [a]_proj.weight;"
    assert said in printed(monkeypatch, capsys, "compress", tmp_path / "m.safetensors", tmp_path / "out",
                           "--include", "*_proj.weight")


def test_weights_beyond_the_format_name_their_tensor(tmp_path: Path) -> None:
    save_file({"a_proj.weight": np.full((16, 16), 1e14, np.float32)}, tmp_path / "m.safetensors")
    with pytest.raises(UserError, match=r"a_proj\.weight cannot be compressed: a weight of 1e\+14 is far beyond"):
        compress(tmp_path / "m.safetensors", tmp_path / "out", replace(SMALL, bias="off", include=("a*",)))


def test_room_is_wanted_for_what_is_copied_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = folder(tmp_path / "model")
    with (model / "notes.txt").open("wb") as file:
        file.truncate(1 << 43)
    monkeypatch.setattr("host.compress.planner.content_digest", lambda sources, reading: "")
    with pytest.raises(UserError, match=r"out needs 8796\.\d GB, and its disk has"):
        compress(model, tmp_path / "out", SMALL)



def test_no_more_is_copied_than_was_planned(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abcdef")
    assert b"".join(contents(tmp_path / "x", 4)) == b"abcd"
    with pytest.raises(UserError, match="it has become shorter"):
        list(contents(tmp_path / "x", 7))


@pytest.mark.parametrize("pieces", [[b"abc"], [b"ab", b"cde"], []])
def test_a_tensor_of_another_size_than_it_says(pieces: list[bytes], tmp_path: Path) -> None:
    def made() -> Iterator[bytes]:
        yield from pieces

    with pytest.raises(UserError, match="tensor a has not the 4 bytes that its file's header says"):
        write_shard(tmp_path / "x", tmp_path / "x.part", [Content("a", "U8", (4,), 4, made)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("save", "reason"), [
    (lambda path: np.save(path, np.ones(48, complex)), r"it holds complex128 of shape \(48,\)"),
    (lambda path: np.save(path, np.ones((48, 48))), "it holds float64 of shape"),
    (lambda path: np.save(path, np.array(["a"] * 48)), "it holds <U1 of shape"),
    (lambda path: np.save(path, np.array([{}] * 48), allow_pickle=True), "numpy.save"),
    (lambda path: path.write_bytes(b"\x93NUMPY\1\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,)}"
                                   + b" " * 42 + b"\n"), "numpy.save"),
    (lambda path: path.write_bytes(b""), "numpy.save"), (Path.mkdir, "not a file"), (os.mkfifo, "not a file")])
def test_channel_weights_that_are_none(save: Callable[[Path], Any], reason: str, tmp_path: Path) -> None:
    model = folder(tmp_path / "model", layers=1)
    (tmp_path / "channels").mkdir()
    save(tmp_path / "channels" / "model.layers.0.self_attn.q_proj.weight.npy")
    with pytest.raises(UserError, match=reason):
        compress(model, tmp_path / "out", SMALL, weighting=tmp_path / "channels")


def test_a_tensor_with_the_name_of_metadata(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_tensor("__metadata__", np.ones((2, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UserError, match="has a tensor __metadata__, which no llama that is read"):
        compress(tmp_path / "m.gguf", tmp_path / "out", SMALL)


def test_channel_weights_are_looked_for_in_their_folder_alone(tmp_path: Path) -> None:
    """The name of a tensor may be a path, or longer than a file's."""
    channels, outside = tmp_path / "channels", str(tmp_path / "outside_proj.weight")
    channels.mkdir()
    for name in ("../outside_proj.weight", outside):
        np.save(channels / f"{name}.npy", np.ones(3))  # which would be refused
    names = ("../outside_proj.weight", outside, "x" * 300 + "_proj.weight", "a\0_proj.weight", "good_proj.weight")
    save_file({name: np.ones((16, 16), np.float32) for name in names}, tmp_path / "m.safetensors")
    np.save(channels / "good_proj.weight.npy", np.ones(16))
    options = replace(SMALL, include=("*_proj.weight",))
    compress(tmp_path / "m.safetensors", tmp_path / "out", options, weighting=channels)


def test_a_tensor_that_is_compressed_and_plain(tmp_path: Path) -> None:
    compress(folder(tmp_path / "model", layers=1), tmp_path / "out", SMALL)
    path = tmp_path / "out" / MANIFEST
    fields = json.loads(path.read_text())
    (shard,), name = fields["shards"].values(), min(fields["tensors"])
    shard["tensors"][name] = {"dtype": "F32", "shape": [1], "sha256": "0" * 64}
    del fields["sha256"]
    digest = hashlib.sha256(json.dumps(fields, indent=1).encode()).hexdigest()
    path.write_text(json.dumps(fields | {"sha256": digest}, indent=1) + "\n")
    with pytest.raises(UserError, match=f"field tensors has {name}, which a shard holds uncompressed too"):
        open_checkpoint(tmp_path / "out")


def test_tensors_that_are_scalars_or_empty_are_carried_along(tmp_path: Path) -> None:
    shapes: dict[str, tuple[int, ...]] = {"scalar": (), "rowless_proj.weight": (0, 4), "hollow_proj.weight": (4, 0),
                                          "none": (0,), "a_proj.weight": (8, 8)}
    save_file({name: np.ones(shape, np.float32) for name, shape in shapes.items()}, tmp_path / "m.safetensors")
    compress(tmp_path / "m.safetensors", tmp_path / "out", replace(SMALL, include=("*_proj.weight",)))
    inspect(tmp_path / "out")
    decompress(tmp_path / "out", tmp_path / "plain")
    found = load_file(tmp_path / "plain" / "model.safetensors")
    assert {name: values.shape for name, values in found.items()} == shapes
    assert found["scalar"] == 1
