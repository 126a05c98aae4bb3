"""Compression, decompression, mending and sealing that are stopped at every operation on the disk."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from host.checkpoint.manifest import MANIFEST, Manifest
from host.checkpoint.shard_names import INDEX
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.here import run_here
from host.compress.plan import Slice
from host.compress.slices import Encoded, Work
from host.compress.verify import inspect, seal
from host.errors import UserError
from tests.host.compress.faulty_disk import Crash, FaultyDisk
from tests.host.compress.toy import SMALL, content, flip, laid

OPTIONS = replace(SMALL, include=("*_proj.weight",), shard_bytes=3000)
FAULTS = ["killed", "power", "power and names", "full"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two matrices, one of two slices, and a vector: two shards."""
    path = tmp_path / "model"
    path.mkdir()
    rng = np.random.default_rng(0)
    save_file({"a_proj.weight": rng.normal(0, 0.02, (64, 48)).astype(np.float32),
               "b_proj.weight": rng.normal(0, 0.02, (16, 48)).astype(np.float32),
               "norm.weight": np.ones(700, np.float32)}, path / "model.safetensors")
    (path / "config.json").write_text("{}")
    (path / "tokenizer.json").write_text("{}")
    (path / "images").mkdir()
    (path / "images" / "logo.png").write_bytes(b"logo")
    return path


@pytest.fixture(autouse=True)
def no_waiting_for_a_real_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def everywhere(work: Callable[[Path], object], folder: Path, fault: str,
               prepare: Callable[[Path], object] = lambda out: None) -> Iterator[tuple[Path, bool, str]]:
    """Stop ``work(out)`` at every operation below ``out``, each time in a new folder.

    Yields the folder, whether the work was stopped, and what it said of a full disk. The last one was not stopped,
    because it has no more operations.
    """
    stop, stopped, messages = 0, True, 0
    while stopped:
        out = folder / fault / f"{stop}" / "out"
        out.parent.mkdir(parents=True)
        prepare(out)
        with pytest.MonkeyPatch.context() as patch:
            disk = FaultyDisk(out.parent, patch, stop, fault == "full")
            message = ended(work, out)
        stopped = disk.operations > stop
        if message:
            assert fault == "full"
            assert re.fullmatch(r"cannot write to .*out \(No space left on device\): make room, then give the same "
                                "command again, which goes on where this one stopped", message)
            messages += 1
        if stopped and fault.startswith("power"):
            disk.lose_power("names" in fault)
        yield out, stopped, message
        stop += 1
    assert stop > 4
    assert (messages > 3) == (fault == "full")


def ended(work: Callable[[Path], object], out: Path) -> str:
    """How the work ended: the message of a UserError, or nothing."""
    try:
        work(out)
    except Crash:
        pass
    except UserError as error:
        return str(error)
    return ""


class Counted:
    """A runner that counts the slices that it encodes, and those that were stored."""

    def __init__(self) -> None:
        self.encoded = self.stored = 0

    def __call__(self, work: Iterable[tuple[Slice, Work]],
                 part: Callable[[Slice, float], None]) -> Iterator[tuple[Slice, Encoded]]:
        for done in run_here(work, part):
            self.encoded += 1
            yield done
            self.stored += 1


@pytest.mark.parametrize("fault", FAULTS)
def test_compression(fault: str, model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "whole", OPTIONS)
    whole, first = content(tmp_path / "whole"), Counted()
    assert len(whole) == 8

    def work(out: Path) -> None:
        first.__init__()
        compress(model, out, OPTIONS, runner=first)

    for out, stopped, _ in everywhere(work, tmp_path, fault):
        second = Counted()
        fresh = compress(model, out, OPTIONS, runner=second).fresh
        assert content(out) == whole
        assert fresh or not second.encoded
        assert first.stored + second.encoded <= 4  # what was stored before the fault is not lost
        if not stopped:
            assert not fresh


@pytest.mark.parametrize("fault", FAULTS)
def test_going_on_with_other_tensors_in_other_shards(fault: str, model: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, exclude=("b_*",), shard_bytes=1 << 20)
    compress(model, tmp_path / "whole", options)
    whole = content(tmp_path / "whole")

    def unfinished(out: Path) -> None:
        """All slices are finished, and all shards: one of them and the index will be stale."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Manifest, "write", refuse)
            with pytest.raises(UserError, match="no more"):
                compress(model, out, OPTIONS)
        assert (out / INDEX).is_file()
        assert not list((out / ".parts").glob("*.slice"))

    def refuse(*arguments: object) -> None:
        raise UserError("no more")

    for out, _, _ in everywhere(lambda out: compress(model, out, options, runner=none), tmp_path, fault, unfinished):
        compress(model, out, options, runner=none)  # all slices are those of the first run
        assert content(out) == whole


def none(work: Iterable[tuple[Slice, Work]], partial: object) -> Iterator[tuple[Slice, Encoded]]:
    """A runner that has nothing to do."""
    assert list(work) == []
    return iter(())


@pytest.mark.parametrize("fault", FAULTS)
def test_decompression(fault: str, model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "compressed", OPTIONS)
    decompress(tmp_path / "compressed", tmp_path / "whole")
    complete = 0
    for out, stopped, message in everywhere(partial(decompress, tmp_path / "compressed"), tmp_path, fault):
        if (out / ".parts" / "job").exists() or not (out / "config.json").exists():
            decompress(tmp_path / "compressed", out)
        else:  # the journal was removed, or nearly so: everything is there
            assert not message  # which says that the same command goes on
            complete += 1
            with pytest.raises(UserError, match="holds something else"):
                decompress(tmp_path / "compressed", out)
        assert {name: data for name, data in content(out).items() if name != ".parts/lock"} == content(
            tmp_path / "whole")
        assert stopped or not (out / ".parts").exists()
    assert complete


@pytest.mark.parametrize("fault", ["killed", "power and names", "full"])
def test_mending_of_a_finished_folder(fault: str, model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "whole", OPTIONS)
    whole = content(tmp_path / "whole")

    def damaged(out: Path) -> None:
        laid(out, whole)
        flip(out / "model.seedlm-00001-of-00002.safetensors", 4500)
        (out / "tokenizer.json").unlink()

    for out, _, _ in everywhere(lambda out: compress(model, out, OPTIONS), tmp_path, fault, damaged):
        compress(model, out, OPTIONS)
        assert content(out) == whole


@pytest.mark.parametrize("fault", ["killed", "power and names", "full"])
def test_sealing(fault: str, model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "whole", OPTIONS)
    whole = content(tmp_path / "whole")

    def changed(out: Path) -> None:
        laid(out, whole)
        (out / "tokenizer.json").write_text("[]")

    stops = 0
    for out, _, _ in everywhere(seal, tmp_path, fault, changed):
        if (out / MANIFEST).read_bytes() == whole[MANIFEST]:
            with pytest.raises(UserError, match=r"tokenizer.json is not the file that seedlm.json describes"):
                inspect(out)
            stops += 1
        seal(out)
        inspect(out)
        assert set(content(out)) - set(whole) <= {f"{MANIFEST}.part"}
    assert stops > 3
