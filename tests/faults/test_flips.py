"""Single bits flipped in compressed folders and in unfinished runs: each is told, or does no harm. `make test` tries
2,100 bits at random and every bit of the manifest and of the texts of headers, `make faults` their padding and 19,000
at random too."""

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from host.checkpoint.integrity import examine
from host.checkpoint.manifest import MANIFEST, read_manifest
from host.checkpoint.shards import tensors_of
from host.checkpoint.unfinished import PARTS
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.journal import Job, Journal
from host.compress.plan import Slice
from host.compress.verify import inspect
from host.errors import UserError
from tests.host.compress.toy import SMALL, Stop, content, flip, folder, stopping

OPTIONS = replace(SMALL, shard_bytes=2500)  # several shards
MANY = pytest.mark.faults


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Nothing waits for a disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@dataclass(frozen=True)
class Toys:
    """Folders in memory, if there is a file system for it: a model, what it is compressed to and what that is
    decompressed to, and two runs that were stopped."""

    model: Path
    compressed: Path
    plain: Path
    run: Path
    plain_run: Path
    work: Path


@pytest.fixture(scope="module")
def toys(quick: None) -> Iterator[Toys]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        top = Path(name)
        made = Toys(folder(top / "model", layers=1), *(top / part for part in ("out", "plain", "run", "plain run",
                                                                                "work")))
        compress(made.model, made.compressed, OPTIONS)
        decompress(made.compressed, made.plain)
        with pytest.raises(Stop):
            compress(made.model, made.run, OPTIONS, runner=stopping(4))
        with pytest.raises(Stop):
            decompress(made.compressed, made.plain_run, progress=_Until(4))
        assert len(list(made.compressed.glob("*.safetensors"))) < 5
        for run in (made.run, made.plain_run):
            assert list(run.glob("*.safetensors"))
        yield made


class _Until:
    """A progress function that stops the work at one of its calls."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, *counts: object) -> None:
        self.left -= 1
        if not self.left:
            raise Stop


def copy(source: Path, target: Path) -> Path:
    """Copy a folder to a name where there may be another."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def random_bits(top: Path, count: int) -> Iterator[tuple[Path, int, int]]:
    """Files below a folder, bytes in them and bits of these, all bytes alike."""
    chosen = random.Random(count)
    files = [file for file in sorted(top.rglob("*")) if file.is_file() and file.stat().st_size]
    sizes = [file.stat().st_size for file in files]
    for file in chosen.choices(files, sizes, k=count):
        yield file, chosen.randrange(file.stat().st_size), chosen.randrange(8)


def told(out: Path) -> bool:
    """Whether a look at a folder ends in an error; if it does not, there is a notice."""
    try:
        _, notices = inspect(out)
    except UserError:
        return True
    assert "was written by another tool" in notices[0]
    return False


@pytest.mark.parametrize(("count", "every"), [(1600, 16), pytest.param(10_000, 1, marks=MANY)])
def test_a_compressed_folder(count: int, every: int, toys: Toys) -> None:
    whole, plain, out = content(toys.compressed), content(toys.plain), copy(toys.compressed, toys.work / "out")
    assert inspect(out)[1] == []
    harmless = mended = 0
    for n, (file, at, bit) in enumerate(random_bits(out, count)):
        flip(file, at, bit)
        damaged = told(out)
        harmless += not damaged
        if n % every == 0 or not damaged:
            shutil.rmtree(toys.work / "plain", ignore_errors=True)
            if damaged:
                with pytest.raises(UserError):
                    decompress(out, toys.work / "plain")
            else:
                decompress(out, toys.work / "plain")
                assert content(toys.work / "plain") == plain
        if damaged and n % every == 0:
            if file.suffix == ".safetensors":
                compress(toys.model, out, OPTIONS)
                assert content(out) == whole
                mended += 1
            else:
                with pytest.raises(UserError):
                    compress(toys.model, out, OPTIONS)
        file.write_bytes(whole[file.name])
        shutil.rmtree(out / PARTS, ignore_errors=True)
    assert harmless < count / 50
    assert mended > count / every / 2


def header_bits(file: Path, padding: int) -> Iterator[tuple[int, int]]:
    """Bits of a shard's header: all of its length and its text, and one of so many of the spaces behind it."""
    head = file.read_bytes()[:min(place.start for place in tensors_of(file).values())]
    text = len(head.rstrip(b" "))
    yield from ((at, bit) for at in range(text) for bit in range(8))
    yield from ((at // 8, at % 8) for at in range(8 * text, 8 * len(head), padding))


@pytest.mark.parametrize("padding", [61, pytest.param(1, marks=MANY)])
def test_headers_of_shards(padding: int, toys: Toys) -> None:
    out, plain = copy(toys.compressed, toys.work / "out"), content(toys.plain)
    manifest, rewritten = read_manifest(out), 0
    for name in manifest.shards:
        good = (out / name).read_bytes()
        for at, bit in header_bits(out / name, padding):
            flip(out / name, at, bit)
            found = examine(out, manifest, [name])
            assert found.damaged or found.rewritten
            if found.rewritten:
                rewritten += 1
                shutil.rmtree(toys.work / "plain", ignore_errors=True)
                decompress(out, toys.work / "plain")
                assert content(toys.work / "plain") == plain
            (out / name).write_bytes(good)
    assert 0 < rewritten < 100 * len(manifest.shards)  # metadata, which mean nothing


def test_the_manifest(toys: Toys) -> None:
    out = copy(toys.compressed, toys.work / "out")
    for at in range(8 * (out / MANIFEST).stat().st_size):
        flip(out / MANIFEST, at // 8, at % 8)
        with pytest.raises(UserError):
            read_manifest(out)
        flip(out / MANIFEST, at // 8, at % 8)
    read_manifest(out)


@pytest.mark.parametrize("count", [400, pytest.param(5000, marks=MANY)])
def test_an_unfinished_compression(count: int, toys: Toys) -> None:
    whole, out = content(toys.compressed), toys.work / "run"
    for file, at, bit in random_bits(toys.run, count):
        flip(copy(toys.run, out) / file.relative_to(toys.run), at, bit)
        compress(toys.model, out, OPTIONS)
        assert content(out) == whole


@pytest.mark.parametrize("count", [100, pytest.param(4000, marks=MANY)])
def test_an_unfinished_decompression(count: int, toys: Toys) -> None:
    plain, out = content(toys.plain), toys.work / "run"
    for file, at, bit in random_bits(toys.plain_run, count):
        flip(copy(toys.plain_run, out) / file.relative_to(toys.plain_run), at, bit)
        decompress(toys.compressed, out)
        assert content(out) == plain


@pytest.mark.parametrize("files", [1, pytest.param(1000, marks=MANY)])
def test_headers_of_the_journal(files: int, toys: Toys) -> None:
    """Whatever bit is flipped in front of a slice's stream, in a shard's record or in the job, it is not believed."""
    out = copy(toys.run, toys.work / "run")
    whole = content(out / PARTS)
    journal = Journal(out, Job(*_job(whole["job"])))
    slices = [name for name in whole if name.endswith(".slice")]
    records = [name.removesuffix(".shard") for name in whole if name.endswith(".shard")]
    assert slices
    assert records
    for name in slices[:files]:
        target, start = name.removesuffix(".slice").split("-")
        part, size = Slice(target, "", int(start), 0), len(whole[name]) - whole[name].index(b"\n", 65) - 1
        assert journal.load(part, size)
        assert not journal.load(part, size + 1)
        for at in range(8 * (whole[name].index(b"\n", 65) + 1)):
            flip(out / PARTS / name, at // 8, at % 8)
            assert not journal.load(part, size)
            flip(out / PARTS / name, at // 8, at % 8)
    for name in records[:files]:
        assert set(journal.finished([name])) == {name}
        for at in range(8 * len(whole[f"{name}.shard"])):
            flip(out / PARTS / f"{name}.shard", at // 8, at % 8)
            assert not journal.finished([name])
            flip(out / PARTS / f"{name}.shard", at // 8, at % 8)
    job = journal.job
    journal.close(False)
    for at in range(8 * len(whole["job"])):
        flip(out / PARTS / "job", at // 8, at % 8)
        Journal(out, job).close(False)
        assert (out / PARTS / "job").read_bytes() == whole["job"]


def _job(written: bytes) -> tuple[str, str]:
    """The two digests in the file of a job."""
    fields = json.loads(written.partition(b"\n")[2])
    return fields["work"], fields["program"]
