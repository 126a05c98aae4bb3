"""Build products: whole or not there after any crash, mended when they are damaged, made once by many processes."""

import multiprocessing
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from golden import products
from golden.products import FolderProduct, file_product, read_sealed, write_sealed

CONTENT = random.Random(0).randbytes(5000)


class Crash(BaseException):
    """The program ends here."""


def make(folder: Path) -> None:
    """Make a product in two steps."""
    (folder / "first.o").write_bytes(CONTENT[:1000])
    (folder / "top").write_bytes(CONTENT)
    (folder / "build.log").write_text("fine")


def of_folder(folder: Path) -> bytes:
    product = FolderProduct(folder / "product", ("top", "*.o"))
    product.provide(lambda: make(product.folder))
    return (product.folder / "top").read_bytes() + (product.folder / "first.o").read_bytes()


def of_file(folder: Path) -> bytes:
    folder.mkdir(exist_ok=True)
    return file_product(folder / "kernel.so", lambda: CONTENT)


KINDS = pytest.mark.parametrize("provide", [of_folder, of_file])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.write_bytes(CONTENT[::-1])


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


DAMAGES = [empty, cut, delete, replace, spoil, become_folder, dangle]


@KINDS
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_made_once_more(provide: Callable[[Path], bytes], damage: Callable[[Path], None],
                                           tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = provide(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"
             and path.name not in (".lock", "build.log")]
    assert len(files) == (3 if provide is of_folder else 1)
    for path in files:
        assert provide(tmp_path) == wanted
        assert capsys.readouterr().err == ""
        damage(path)
        assert provide(tmp_path) == wanted
        told = capsys.readouterr().err
        # A product whose digests are lost was never made, as far as anybody can tell, and so is a file that is gone.
        assert told.count("was damaged: it is removed and made once more\n") == (
            damage is not delete or path.name in ("top", "first.o"))


def test_the_folder_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "product").write_text("a file")
    wanted = of_folder(tmp_path)
    (tmp_path / "product" / "top").unlink()
    (tmp_path / "product" / "other").mkdir()
    (tmp_path / "product" / "run-1.log").touch()
    assert of_folder(tmp_path) == wanted
    assert sorted(path.name for path in (tmp_path / "product").iterdir()) == [
        ".done", ".lock", "build.log", "first.o", "run-1.log", "top"]


def test_a_program_that_may_not_be_executed(tmp_path: Path) -> None:
    product = FolderProduct(tmp_path, ("top",), programs=True)

    def made() -> None:
        make(tmp_path)
        (tmp_path / "top").chmod(0o755)

    product.provide(made)
    assert product.is_made()
    (tmp_path / "top").chmod(0o644)
    assert not product.is_made()
    product.provide(made)
    assert product.is_made()


def test_a_product_that_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_folder(tmp_path)
    product = FolderProduct(tmp_path / "product", ("top",))
    product.discard()
    assert not product.is_made()
    assert "was damaged" in capsys.readouterr().err
    of_folder(tmp_path)
    assert product.is_made()


@KINDS
@pytest.mark.parametrize("damaged_before", [False, True])
def test_a_crash_at_any_step(provide: Callable[[Path], bytes], damaged_before: bool, tmp_path: Path,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = provide(tmp_path / "whole")
    for at in range(1, 50):
        folder = tmp_path / str(at)
        if damaged_before:
            provide(folder)
            for path in folder.rglob("*o*"):
                if path.is_file() and path.stat().st_size and path.name != ".done":
                    spoil(path)
        crashed = crash_at(provide, folder, at, monkeypatch)
        assert provide(folder) == wanted
        if not crashed:
            break
    assert at == (7 if provide is of_folder else 4)  # steps: two outputs, the folder, then put() of the digests


def crash_at(provide: Callable[[Path], bytes], folder: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Provide a product, and crash at the ``at``-th step that touches the disk; return whether there was such a step.

    What was not put on the disk is lost: of files, all but some first bytes.
    """
    synced, steps, rename = dict[Path, bytes](), [0], Path.replace

    def step() -> None:
        steps[0] += 1
        if steps[0] == at:
            raise Crash

    def sync(path: Path) -> None:
        step()
        if path.is_file():
            synced[path] = path.read_bytes()

    def renamed(path: Path, target: Path) -> Path:
        step()
        if path in synced:
            synced[target] = synced.pop(path)
        return rename(path, target)

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with monkeypatch.context() as patched:
        patched.setattr(products, "sync", sync)
        patched.setattr(Path, "replace", renamed)
        try:
            provide(folder)
        except Crash:
            pass
        else:
            return False
    for path in folder.rglob("*"):
        if path.is_file() and path.name != ".lock":
            content = path.read_bytes()
            if content not in (synced.get(path), before.get(path)):
                path.write_bytes(content[:at % 3 * 7])
    return True


def slowly(folder: Path, number: int) -> None:
    """Provide a product of which the making takes a while, and leave a mark for each making."""
    product = FolderProduct(folder / "product", ("top", "*.o"))

    def made() -> None:
        (folder / f"made-{number}").touch()
        make(product.folder)
        assert not list(product.folder.glob("alone"))
        (product.folder / "alone").touch()

    product.provide(made)
    assert (product.folder / "top").read_bytes() == CONTENT


def test_many_processes_make_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=slowly, args=(tmp_path, n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(list(tmp_path.glob("made-*"))) == 1


def test_a_sealed_file(tmp_path: Path) -> None:
    path = tmp_path / "point.json"
    assert read_sealed(path) is None
    for content in (b"", b"{}", CONTENT):
        write_sealed(path, content)
        assert read_sealed(path) == content
    whole = path.read_bytes()
    rng = random.Random(1)
    for _ in range(500):
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        assert read_sealed(path) is None
    assert os.listdir(tmp_path) == ["point.json"]
