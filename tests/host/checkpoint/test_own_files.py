"""Links in a model's folder, those that are good and those that would carry files of this machine away."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from host.checkpoint import own_files
from host.checkpoint.checkpoint import open_checkpoint
from host.errors import UserError


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    save_file({"w": np.ones((2, 2), np.float32)}, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "secret").write_text("secret")
    return tmp_path / "secrets" / "secret"


def chain(folder: Path, secret: Path) -> None:
    (folder / "b").symlink_to("c")
    (folder / "c").symlink_to(secret)
    (folder / "notes.txt").symlink_to("b")


def through_a_folder(folder: Path, secret: Path) -> None:
    (folder / "out").symlink_to(secret.parent)
    (folder / "notes.txt").symlink_to("out/secret")


def a_neighbour(folder: Path, secret: Path) -> None:
    """A folder whose name begins like that of the model."""
    other = folder.with_name(f"{folder.name}-other")
    other.mkdir()
    (other / "x").write_text("x")
    (folder / "notes.txt").symlink_to(other / "x")


def below(folder: Path, secret: Path) -> None:
    (folder / "sub" / "sub").mkdir(parents=True)
    (folder / "sub" / "sub" / "notes.txt").symlink_to(secret)


@pytest.mark.parametrize("make", [
    lambda folder, secret: (folder / "notes.txt").symlink_to(secret),
    lambda folder, secret: (folder / "notes.txt").symlink_to("../secrets/secret"),
    lambda folder, secret: (folder / "config.json").symlink_to(secret),
    lambda folder, secret: (folder / "notes").symlink_to(secret.parent),
    lambda folder, secret: (folder / "notes").symlink_to(".."),
    chain, through_a_folder, a_neighbour, below])
def test_links_out_of_the_folder(make: Callable[[Path, Path], object], tmp_path: Path, secret: Path) -> None:
    folder = model(tmp_path / "model")
    make(folder, secret)
    with pytest.raises(UserError, match=r"is a link to .*, outside the model's folder: put the file itself in"):
        open_checkpoint(folder)


@pytest.mark.parametrize(("make", "reason"), [
    (lambda path: path.symlink_to("nowhere"), r"is a link to nowhere, which cannot be followed \(No such file"),
    (lambda path: path.symlink_to(path.name), r"cannot be followed \(Too many levels of symbolic links\)"),
    (lambda path: path.symlink_to("/dev/zero"), "is a link to /dev/zero, outside"),
    (os.mkfifo, "is a device, a socket or a pipe: remove it"),
    (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "is a device, a socket or a pipe: remove it")])
def test_what_is_neither_file_nor_folder(make: Callable[[Path], object], reason: str, tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    make(folder / "notes.txt")
    with pytest.raises(UserError, match=reason):
        open_checkpoint(folder)


def test_links_that_stay_inside(tmp_path: Path) -> None:
    folder = model(tmp_path / "model")
    (folder / "sub").mkdir()
    (folder / "sub" / "up.json").symlink_to("../tokenizer.json")
    (folder / "again").symlink_to("sub")
    (folder / "absolute.json").symlink_to(folder / "tokenizer.json")
    (folder / ".git").mkdir()
    (folder / ".git" / "elsewhere").symlink_to("/")
    (tmp_path / "link").symlink_to(folder)
    for path in (folder, tmp_path / "link", Path(os.path.relpath(folder))):
        assert open_checkpoint(path).names() == ["w"]


def test_the_cache_of_the_hub(tmp_path: Path) -> None:
    repo = tmp_path / "models--a--b"
    snapshot, blobs = repo / "snapshots" / "abc", repo / "blobs"
    snapshot.mkdir(parents=True)
    model(blobs)
    for name in ("model.safetensors", "tokenizer.json"):
        (blobs / name).rename(blobs / f"hash-of-{name}")
        (snapshot / name).symlink_to(f"../../blobs/hash-of-{name}")
    assert open_checkpoint(snapshot).names() == ["w"]
    (snapshot / "other.txt").symlink_to("../../../elsewhere")
    (tmp_path / "elsewhere").touch()
    with pytest.raises(UserError, match="outside the model's folder"):
        open_checkpoint(snapshot)


def test_a_cache_whose_blobs_are_elsewhere(tmp_path: Path, secret: Path) -> None:
    snapshot = model(tmp_path / "models--a--b" / "snapshots" / "abc")
    (snapshot.parent.parent / "blobs").symlink_to(secret.parent)
    (snapshot / "notes.txt").symlink_to("../../blobs/secret")
    with pytest.raises(UserError, match="outside the model's folder"):
        open_checkpoint(snapshot)


def test_a_folder_of_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_files, "_MOST", 5)
    folder = model(tmp_path / "model")
    for number in range(4):
        (folder / str(number)).touch()
    with pytest.raises(UserError, match="holds more than 5 files: give the folder of one model"):
        open_checkpoint(folder)
