"""The folder of a command's results, and what happens when it cannot be written."""

from pathlib import Path
from threading import Thread

import pytest

from host import folders
from host.errors import UserError
from host.folders import report_folder, write_whole


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "REPORTS", tmp_path / "build")
    assert report_folder("pnr/some-job") == tmp_path / "build" / "pnr" / "some-job"
    assert list(report_folder("pnr/some-job").iterdir()) == []


def test_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = tmp_path / "build"
    monkeypatch.setattr(folders, "REPORTS", build)
    build.touch()
    with pytest.raises(UserError, match=r"cannot write to .*build/sim \(Not a directory\): make it writable, or set "
                                        "SEEDLM_BUILD to another folder"):
        report_folder("sim")
    build.unlink()

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders, "TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"cannot write to .*build/sim \(Permission denied\): make it writable"):
        report_folder("sim")


def test_a_file_that_two_commands_write_is_one_of_theirs(tmp_path: Path) -> None:
    texts = [letter * 100_000 for letter in "ab"]
    threads = [Thread(target=lambda text=text: [write_whole(tmp_path / "report.md", text) for _ in range(50)])
               for text in texts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "report.md").exists():
            assert (tmp_path / "report.md").read_text() in texts
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
