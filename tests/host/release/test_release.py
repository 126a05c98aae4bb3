"""Releases: what is in them, and what is refused."""

import email
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from golden.tree import PACKAGES, ROOT
from host.errors import CheckError, UserError
from host.release import release as making
from host.release.distributions import distributions
from host.release.release import BITSTREAMS, SUMS, release
from host.release.versions import released_version, unreleased

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="releases are made from a clone")
VERSION = released_version()
SOURCES, WHEEL = f"seedlm_fpga-{VERSION}.tar.gz", f"seedlm_fpga-{VERSION}-py3-none-any.whl"


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All changes are committed."""
    monkeypatch.setattr(making, "changed_sources", list)


@pytest.mark.usefixtures("committed")
def test_a_light_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Distributions are real, the IP core is a folder of one file, and a bitstream was made before."""
    (tmp_path / "ulx3s_85f" / "fp16").mkdir(parents=True)
    (tmp_path / "ulx3s_85f" / "fp16.bit").write_text("a bitstream")
    (tmp_path / "ulx3s_85f" / "fp16" / "report.json").write_text("{}")
    monkeypatch.setattr(making, "REPORTS", tmp_path)
    monkeypatch.setattr(making, "write_package", lambda core, out: (out.mkdir(), (out / "README.md").write_text("x")))
    ran: list[list[str]] = []
    real = subprocess.run

    def run(command: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
        if "bitstream" not in command:
            return real(command, **options)  # type: ignore[call-overload]
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    out, told = tmp_path / "out", []
    out.mkdir()
    made = release(out, ["ulx3s_85f/fp16"], ["seedlm4"], lambda *update: told.append(update))
    assert [command[1:] for command in ran] == [
        ["-m", "host", "bitstream", "--quiet", "--board", "ulx3s_85f", "--format", "fp16"]]
    assert told == [("distributions", 0, 3), ("IP core seedlm4", 1, 3), ("bitstream ulx3s_85f/fp16", 2, 3)]
    names = {SOURCES, WHEEL, f"seedlm4_128-{VERSION}.tar.xz", f"ulx3s_85f-fp16-{VERSION}.bit",
             f"ulx3s_85f-fp16-{VERSION}.json", SUMS}
    assert {path.name for path in made} == {path.name for path in out.iterdir()} == names
    real(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=out, check=True)
    assert len((out / SUMS).read_text().splitlines()) == len(names) - 1
    with tarfile.open(out / f"seedlm4_128-{VERSION}.tar.xz") as archive:
        assert [(entry.name, entry.mtime, entry.uname) for entry in archive] == [("seedlm4_128/README.md", 0, "")]
    check_wheel(out / WHEEL)
    check_sources(out / SOURCES)
    # The next one takes the place of this one.
    monkeypatch.setattr(making, "distributions", lambda out: [])
    release(out, [], [])
    assert [path.name for path in out.iterdir()] == [SUMS]


def check_wheel(path: Path) -> None:
    """It has every module and file of the packages, and nothing else; its metadata are the tree's."""
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
        [metadata] = (name for name in names if name.endswith("METADATA"))
        about = email.message_from_bytes(wheel.read(metadata))
        own = {name for name in names if name.partition("/")[0] in PACKAGES}
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert own == {name for name in tracked.stdout.split("\n") if name and (ROOT / name).exists()}
    assert all(name.startswith(f"seedlm_fpga-{VERSION}.dist-info/") for name in names - own)
    assert (about["Name"], about["Version"], about["License-Expression"]) == ("seedlm-fpga", VERSION, "Apache-2.0")


def check_sources(path: Path) -> None:
    """Make's targets work in it: what they need comes along, and nothing that git does not know."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "CITATION.cff",
            "docs/format.md", "tests/conftest.py", "sim/dram/ram.v", ".ci/run"} <= names
    assert not {name for name in names if re.search(r"__pycache__|\.pyc$|^build|^\.venv", name)}


@pytest.mark.usefixtures("committed")
def test_what_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    for bitstreams, cores, message in ((["ulx3s/fp16"], [], "unknown board 'ulx3s': there are bitstreams"),
                                       (["ulx3s_85f"], [], "unknown format ''"), ([], ["fp17"], "fp17")):
        with pytest.raises(Exception, match=message):
            release(tmp_path, bitstreams, cores)
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match=r"holds other files: remove them, or give another folder with --out"):
        release(tmp_path, [], [])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_changes_are_committed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "changed_sources", lambda: ["hw/config.py", "Makefile"])
    with pytest.raises(UserError, match=r"a release is of a commit: commit hw/config.py first, and 1 more"):
        release(tmp_path, [], [])


@pytest.mark.usefixtures("committed")
def test_a_bitstream_that_fails_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "distributions", lambda out: [])
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    with pytest.raises(CheckError, match="there is no bitstream of ulx3s_85f/fp16: `bitstream` ended with status 1"):
        release(tmp_path, BITSTREAMS[:1], [])
    assert not (tmp_path / SUMS).exists()


def test_files_name_one_version(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "CITATION.cff", "CHANGELOG.md"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    assert released_version(tmp_path) == VERSION
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## Unreleased\n\n## 0.0.9\n\n- x\n")
    assert not unreleased(tmp_path)
    with pytest.raises(UserError, match=rf"is of version {VERSION}, and CHANGELOG.md names 0.0.9: make them the same"):
        released_version(tmp_path)
    changelog.write_text("# Changelog\n\n## Unreleased\n\n- y\n\n## 0.1.0\n")
    assert unreleased(tmp_path)
    changelog.unlink()
    (tmp_path / "pyproject.toml").unlink()
    with pytest.raises(UserError, match="made from a clone"):
        released_version(tmp_path)


def test_a_tree_without_git_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.release.distributions.ROOT", tmp_path)
    with pytest.raises(UserError, match="git does not know which files"):
        distributions(tmp_path)
