"""The folder of a command's results, and what happens when it cannot be written."""

from pathlib import Path

import pytest

from host import folders
from host.errors import UserError
from host.folders import report_folder


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "BUILD", tmp_path / "build")
    assert report_folder("pnr/some-job") == tmp_path / "build" / "pnr" / "some-job"
    assert list(report_folder("pnr/some-job").iterdir()) == []


def test_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = tmp_path / "build"
    monkeypatch.setattr(folders, "BUILD", build)
    build.touch()
    with pytest.raises(UserError, match=r"cannot write to .*build/sim \(Not a directory\): make it writable, or set "
                                        "SEEDLM_BUILD to another folder"):
        report_folder("sim")
    build.unlink()

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UserError, match=r"cannot write to .*build/sim \(Permission denied\): make it writable"):
        report_folder("sim")
